package configs

import (
	"fmt"
	"strings"
)

// checkListeners checks each listener and all together, and gives names to those without.
func checkListeners(c *Config, from *origin) {
	if len(c.Listeners) == 0 {
		from.report("listeners", "is empty, so that nobody could connect; add one, or take the key out for the default ones")
	}
	names, endpoints := map[string]int{}, map[int]Endpoint{}
	for i := range c.Listeners {
		ln, key := &c.Listeners[i], fmt.Sprintf("listeners[%d]", i)
		if ln.Name != "" {
			if first, again := names[ln.Name]; again {
				from.report(key+".name", "%q is the name of listeners[%d] too; names tell listeners apart", ln.Name, first)
			}
			names[ln.Name] = i
		}
		if ln.URL == "" {
			from.report(key+".url", "is missing; write tcp://host:port, tls://…, ws://…, wss://… or unix:///path")
			continue
		}
		e, err := ParseURL(ln.URL)
		if err != nil {
			from.report(key+".url", "%s", err)
			continue
		}
		for j := range i {
			if other, ok := endpoints[j]; ok && e.collides(other) {
				from.report(key+".url", "%s has the address of listeners[%d] (%s); give it another port", ln.URL, j, c.Listeners[j].URL)
			}
		}
		endpoints[i] = e
		checkTLS(ln, e, key, from)
		checkExtras(ln, e, key, from)
		checkAccess(c, ln, e, key, from)
	}
	nameListeners(c.Listeners, endpoints, names)
}

// nameListeners calls listeners without a name by their scheme, numbered from the second one on.
func nameListeners(list []Listener, endpoints map[int]Endpoint, names map[string]int) {
	for i := range list {
		if list[i].Name != "" {
			continue
		}
		name, number := endpoints[i].Scheme, 1
		for _, taken := names[name]; taken; _, taken = names[name] {
			number++
			name = fmt.Sprint(endpoints[i].Scheme, number)
		}
		list[i].Name, names[name] = name, i
	}
}

// checkTLS checks what belongs to TLS.
func checkTLS(ln *Listener, e Endpoint, key string, from *origin) {
	secure := map[string]string{"tcp": "tls://", "ws": "wss://", "unix": "tls://"}[e.Scheme]
	asked := ln.ClientCertificates != choiceNone
	if !e.tls() {
		for _, set := range []struct {
			key string
			is  bool
		}{
			{"tls.cert_file", ln.TLS.CertFile != ""},
			{"tls.key_file", ln.TLS.KeyFile != ""},
			{"tls.client_ca_file", ln.TLS.ClientCAFile != ""},
			{"tls.crl_file", ln.TLS.CRLFile != ""},
			{"client_certificates", asked},
		} {
			if set.is {
				from.report(key+"."+set.key, "is for TLS, and %s:// has none; make the URL %s, or take this out", e.Scheme, secure)
			}
		}
		return
	}
	if ln.TLS.CertFile == "" {
		from.report(key+".tls.cert_file", "is missing, and %s:// needs it: the PEM file of the server's certificate", e.Scheme)
	}
	if ln.TLS.KeyFile == "" {
		from.report(key+".tls.key_file", "is missing, and %s:// needs it: the PEM file of the certificate's private key", e.Scheme)
	}
	switch {
	case asked && ln.TLS.ClientCAFile == "":
		from.report(key+".tls.client_ca_file", "is missing; client_certificates: %s needs the authorities that clients may come from", ln.ClientCertificates)
	case !asked && ln.TLS.ClientCAFile != "":
		from.report(key+".tls.client_ca_file", "is of no use while client_certificates is none; set that to optional or required")
	case !asked && ln.TLS.CRLFile != "":
		from.report(key+".tls.crl_file", "is of no use while client_certificates is none; set that to optional or required")
	}
}

// checkExtras checks what belongs to WebSocket and to the PROXY protocol.
func checkExtras(ln *Listener, e Endpoint, key string, from *origin) {
	w := ln.Websocket
	if !e.websocket() {
		const text = "is for WebSocket, and %s:// is none; make the URL ws:// or wss://, or take this out"
		if w.Path != "" {
			from.report(key+".websocket.path", text, e.Scheme)
		}
		if len(w.AllowedOrigins) > 0 {
			from.report(key+".websocket.allowed_origins", text, e.Scheme)
		}
	}
	switch {
	case w.Path != "" && !strings.HasPrefix(w.Path, "/"):
		from.report(key+".websocket.path", "%q does not begin with /", w.Path)
	case w.Path != "" && e.websocket() && e.Path != "" && e.Path != w.Path:
		from.report(key+".websocket.path", "%q is not the path in the URL (%q); leave one of them out", w.Path, e.Path)
	}
	if e.Scheme == "unix" && len(ln.ProxyProtocol.Trusted) > 0 {
		from.report(key+".proxy_protocol.trusted", "is not for Unix sockets, whose peers have no address")
	}
	for i, text := range ln.ProxyProtocol.Trusted {
		if _, err := prefix(text); err != nil {
			from.report(fmt.Sprintf("%s.proxy_protocol.trusted[%d]", key, i), "%s", err)
		}
	}
	if ln.CertificateUser != choiceNone && ln.ClientCertificates == choiceNone {
		from.report(key+".certificate_user", "needs certificates; set client_certificates to required or optional")
	}
}

// checkAccess holds that nobody comes in from outside without having said who it is, and that somebody can.
func checkAccess(c *Config, ln *Listener, e Endpoint, key string, from *origin) {
	anonymous, login := c.anonymous(ln, e), c.login(ln)
	switch {
	case anonymous && !local(ln, e) && !c.Auth.InsecureAllowAnonymous:
		from.report(key+".allow_anonymous", "would let in everybody who reaches %s; set auth.password_file and allow_anonymous: false, "+
			"or listen on 127.0.0.1, or, if you mean it, set auth.insecure_allow_anonymous: true", ln.URL)
	case !anonymous && !login && local(ln, e):
		from.report(key+".allow_anonymous", "nobody could log in at %s: anonymous clients are not allowed, and there are no users; "+
			"set auth.password_file, or allow_anonymous: true", ln.URL)
	case !anonymous && !login:
		from.report(key+".url", "%s is reachable from other machines, and there is no way to tell who connects. "+
			"Make a user with `nightjar passwd passwords NAME` and set auth.password_file: passwords; "+
			"or use client certificates (certificate_user); or listen on 127.0.0.1", ln.URL)
	}
}

// local tells whether all clients of a listener are on this machine. Behind a proxy they are not.
func local(ln *Listener, e Endpoint) bool { return e.local() && len(ln.ProxyProtocol.Trusted) == 0 }

// login tells whether clients of a listener can prove a name.
func (c *Config) login(ln *Listener) bool {
	return c.Auth.PasswordFile != "" || ln.CertificateUser != choiceNone
}

// anonymous tells whether a listener takes clients without a name.
func (c *Config) anonymous(ln *Listener, e Endpoint) bool {
	if ln.AllowAnonymous != choiceAuto {
		return ln.AllowAnonymous == "true"
	}
	return !c.login(ln) && (local(ln, e) || c.Auth.InsecureAllowAnonymous)
}

// certificateUsers tells whether any listener takes names from certificates.
func (c *Config) certificateUsers() bool {
	for i := range c.Listeners {
		if c.Listeners[i].CertificateUser != choiceNone {
			return true
		}
	}
	return false
}
