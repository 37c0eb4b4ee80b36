package configs

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"nightjar/store"
)

// Bounds of keys that no package of ours bounds.
const (
	sysIntervalMax     = 24 * time.Hour
	shutdownTimeoutMax = time.Hour
	tcpKeepAliveMax    = 2 * time.Hour
	loopsMax           = 1024
	responseBytesMax   = 65_535
)

// check looks for values out of bounds and for what does not go together, and fills in what follows from others.
func check(c *Config, from *origin) {
	if c.Version != formatVersion {
		from.report("version", "%d is not a format that this version of Nightjar reads; write %d", c.Version, formatVersion)
	}
	checkBounds(c, from)
	for _, err := range joined(c.Limits.Validate()) {
		key, text := limitProblem(err)
		from.report("limits."+key, "%s", text)
	}
	checkData(c, from)
	checkAuth(c, from)
	checkListeners(c, from)
	checkAdmin(c, from)
}

func checkBounds(c *Config, from *origin) {
	within := func(key string, d, least, most time.Duration) {
		if d < least || d > most {
			from.report(key, "%s is not between %s and %s", formatDuration(d), formatDuration(least), formatDuration(most))
		}
	}
	within("sys_interval", c.SysInterval, 0, sysIntervalMax)
	if c.SysInterval > 0 {
		within("sys_interval", c.SysInterval, time.Second, sysIntervalMax)
	}
	within("shutdown_timeout", c.ShutdownTimeout, 100*time.Millisecond, shutdownTimeoutMax)
	if c.MemoryPercent < 10 || c.MemoryPercent > 95 {
		from.report("memory_percent", "%d is not between 10 and 95", c.MemoryPercent)
	}
	if min(c.Data.DiskSoftBytes, c.Data.DiskHardBytes) < 0 {
		from.report("data.disk_hard_bytes", "is negative")
	}
	if c.Loops < -1 || c.Loops > loopsMax {
		from.report("loops", "%d is not between -1 and %d", c.Loops, loopsMax)
	}
	if len(c.ResponseInformation) > responseBytesMax {
		from.report("response_information", "is longer than %d bytes", responseBytesMax)
	}
	for i, ln := range c.Listeners {
		within(fmt.Sprintf("listeners[%d].tcp_keep_alive", i), ln.TCPKeepAlive, time.Second, tcpKeepAliveMax)
	}
}

func checkData(c *Config, from *origin) {
	if defaults := Default().Data; c.Data.SyncEvery != defaults.SyncEvery && c.Data.Durability != store.Relaxed.String() {
		from.warn("data.sync_every", "is not used: it is for data.durability relaxed")
	} else if c.Data.Durability == durabilityMemory && c.Data.Dir != defaults.Dir {
		from.warn("data.dir", "is not used: with data.durability memory nothing is stored")
	}
	if c.Data.Durability == durabilityMemory {
		return
	}
	if c.Data.Dir == "" {
		from.report("data.dir", "is empty; name a folder, or set data.durability to memory")
	}
	probe := c.storeConfig()
	probe.Dir = "."
	for _, err := range joined(probe.Validate()) {
		_, text, _ := strings.Cut(err.Error(), ": ")
		from.report("data.sync_every", "%s", text)
	}
}

func checkAuth(c *Config, from *origin) {
	for _, err := range joined(c.AuthConfig().Validate()) {
		key, text, found := strings.Cut(err.Error(), ": ")
		if !found || !strings.HasPrefix(key, "admins[") {
			key, text = "acl_file", err.Error()
		}
		from.report("auth."+key, "%s", text)
	}
	if c.Auth.ACLFile != "" && c.Auth.PasswordFile == "" && !c.certificateUsers() {
		from.warn("auth.acl_file", "nobody can log in, so only its rules for anonymous clients and its patterns count; set auth.password_file")
	}
	if c.Auth.InsecureAllowAnonymous {
		from.warn("auth.insecure_allow_anonymous", "everybody who reaches a listener may be let in without a name")
	}
}

func checkAdmin(c *Config, from *origin) {
	if c.Admin.URL == off {
		return
	}
	e, err := c.Admin.endpoint()
	switch {
	case err != nil:
		from.report("admin.url", "%s", err)
		return
	case !loopback(e.Host):
		from.report("admin.url", "%q is reachable from other machines, and has neither TLS nor passwords yet; "+
			"use http://127.0.0.1:18083 behind a proxy of your own, or off", c.Admin.URL)
		return
	}
	for i, ln := range c.Listeners {
		if other, err := ParseURL(ln.URL); err == nil && e.collides(other) {
			from.report("admin.url", "has the address of listeners[%d] (%s); give it another port", i, ln.URL)
		}
	}
}

// endpoint reads the URL.
func (a Admin) endpoint() (Endpoint, error) {
	u, err := url.Parse(a.URL)
	if err != nil || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.User != nil || u.RawQuery != "" {
		return Endpoint{}, errors.New("is neither off nor a URL as http://127.0.0.1:18083")
	}
	if u.Scheme != "http" {
		return Endpoint{}, fmt.Errorf("%s:// is not supported here; use http://127.0.0.1:18083, or off", u.Scheme)
	}
	e := Endpoint{Scheme: "http", Host: u.Hostname(), Port: 18083}
	if p := u.Port(); p != "" {
		if e.Port, err = strconv.Atoi(p); err != nil || e.Port > 65_535 {
			return Endpoint{}, fmt.Errorf("port %s is not between 0 and 65535", p)
		}
	}
	return e, nil
}

// joined are the errors that errors.Join has put together.
func joined(err error) []error {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	return []error{err}
}

var limitError = regexp.MustCompile(`^(\w+)(?: \((ms|s)\))?: (-?\d+) is not between (\d+) and (\d+)$`)

// limitProblem makes the key and the text of what broker.Limits finds, in the units of the file.
func limitProblem(err error) (key, text string) {
	m := limitError.FindStringSubmatch(err.Error())
	if m == nil {
		key, text, _ = strings.Cut(err.Error(), ": ")
		return key, text
	}
	say := func(number string) string {
		n, err := strconv.ParseInt(number, 10, 64)
		switch unit := map[string]time.Duration{"ms": time.Millisecond, "s": time.Second}[m[2]]; {
		case err != nil:
		case unit > 0:
			return formatDuration(time.Duration(n) * unit)
		case strings.HasSuffix(m[1], "_bytes"):
			return fmt.Sprint(formatSize(n))
		}
		return number
	}
	return m[1], fmt.Sprintf("%s is not between %s and %s", say(m[3]), say(m[4]), say(m[5]))
}

// prefix reads an address or a network.
func prefix(text string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.Masked(), nil
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a network as 10.0.0.0/8", text)
	}
	return netip.PrefixFrom(addr, addr.BitLen()), nil
}
