package configs

import (
	"net/netip"
	"time"

	"nightjar/auth"
	"nightjar/broker"
	"nightjar/store"
	"nightjar/transports"
)

// websocketPath is where WebSocket listeners serve if nothing else is said.
const websocketPath = "/mqtt"

// AuthConfig is the part of package auth.
func (c *Config) AuthConfig() auth.Config {
	return auth.Config{PasswordFile: c.Auth.PasswordFile, ACLFile: c.Auth.ACLFile, Admins: c.Auth.Admins}
}

// BrokerConfig is the part of package broker.
func (c *Config) BrokerConfig(version string) broker.Config {
	return broker.Config{
		Limits: c.Limits, DeniedPublishCloses: c.DeniedPublish == "close", CheckPayloadFormat: c.CheckPayloadFormat,
		OverrunWarns:      c.Compat.ReceiveMaximum == "warn",
		ControlCharacters: c.Compat.ClientIDControlCharacters == "allow",
		SysInterval:       c.SysInterval, ResponseInformation: c.ResponseInformation,
		Durability: c.Data.Durability, Version: version,
	}
}

// StoreConfig is the part of package store without its logger; false: nothing is stored.
func (c *Config) StoreConfig() (store.Config, bool) {
	return c.storeConfig(), c.Data.Durability != durabilityMemory
}

func (c *Config) storeConfig() store.Config {
	sc := store.DefaultConfig()
	sc.Dir, sc.SyncEvery = c.Data.Dir, c.Data.SyncEvery
	if c.Data.Durability == store.Relaxed.String() {
		sc.Mode = store.Relaxed
	}
	return sc
}

// AdminAddress is host:port of the admin server; false: there is none.
func (c *Config) AdminAddress() (string, bool) {
	e, err := c.Admin.endpoint()
	return e.Address(), err == nil && c.Admin.URL != off
}

// BrokerListener is what the broker must know of a listener.
func (c *Config) BrokerListener(ln *Listener) broker.Listener {
	e, _ := ParseURL(ln.URL) // was checked by Load
	return broker.Listener{AllowAnonymous: c.anonymous(ln, e), CertificateUser: ln.CertificateUser}
}

// TLSFiles are the files of a listener; false: it is one without TLS.
func (ln *Listener) TLSFiles() (transports.TLSFiles, bool) {
	e, _ := ParseURL(ln.URL) // was checked by Load
	return transports.TLSFiles{
		Cert: ln.TLS.CertFile, Key: ln.TLS.KeyFile, ClientCA: ln.TLS.ClientCAFile, CRL: ln.TLS.CRLFile,
		ClientAuth: transports.ClientAuth(ln.ClientCertificates), MinVersion: ln.TLS.MinVersion,
	}, e.tls()
}

// TransportListener is the part of package transports, without the TLS configuration.
func (c *Config) TransportListener(ln *Listener) transports.ListenerConfig {
	e, _ := ParseURL(ln.URL) // was checked by Load
	cfg := transports.ListenerConfig{
		Name: ln.Name, Network: "tcp", Address: e.Address(),
		HandshakeTimeout: c.Limits.ConnectTimeout.Milliseconds(),
		KeepAlive:        int(ln.TCPKeepAlive / time.Second),
	}
	if e.Scheme == "unix" {
		cfg.Network = "unix"
	}
	if e.websocket() {
		cfg.WebSocket = &transports.WebSocketConfig{Path: ln.path(e), AllowedOrigins: ln.Websocket.AllowedOrigins}
	}
	if trusted := ln.ProxyProtocol.Trusted; len(trusted) > 0 {
		cfg.Proxy = &transports.ProxyConfig{Trusted: prefixes(trusted)}
	}
	return cfg
}

// path is where a WebSocket listener serves.
func (ln *Listener) path(e Endpoint) string {
	switch {
	case ln.Websocket.Path != "":
		return ln.Websocket.Path
	case e.Path != "" && e.Path != "/":
		return e.Path
	}
	return websocketPath
}

func prefixes(texts []string) []netip.Prefix {
	list := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		if p, err := prefix(text); err == nil { // was checked by Load
			list = append(list, p)
		}
	}
	return list
}
