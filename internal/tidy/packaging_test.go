package tidy

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestSystemdUnitIsHardened holds the directives of the shipped unit that an administrator relies on.
func TestSystemdUnitIsHardened(t *testing.T) {
	unit, err := os.ReadFile(filepath.Join(root, "packaging/systemd/nightjar.service"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(unit), "\n")
	for _, want := range []string{
		"Type=notify",
		"WatchdogSec=30",
		"ExecStart=/usr/bin/nightjar serve --config /etc/nightjar/nightjar.yaml",
		"ExecReload=/bin/kill -HUP $MAINPID",
		"Restart=on-failure",
		"RestartSec=2",
		"User=nightjar",
		"StateDirectory=nightjar",
		"StateDirectoryMode=0700",
		"UMask=0077",
		"LimitNOFILE=1048576",
		"MemoryMax=80%",
		"NoNewPrivileges=yes",
		"CapabilityBoundingSet=",
		"ProtectSystem=strict",
		"PrivateTmp=yes",
		"PrivateDevices=yes",
		"ProtectKernelTunables=yes",
		"ProtectKernelModules=yes",
		"ProtectKernelLogs=yes",
		"RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
		"MemoryDenyWriteExecute=yes",
		"SystemCallFilter=@system-service",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("nightjar.service has no line %q", want)
		}
	}
}
