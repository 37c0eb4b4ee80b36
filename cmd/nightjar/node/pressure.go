package node

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"nightjar/broker"
)

const (
	pressureTick = time.Second
	memorySoft   = 70 // percent of the memory limit, from which no new connections are taken
	memoryHard   = 85 // percent of the memory limit, from which publishers are not read
)

// watchPressure tells the broker how short memory and the data disk are.
func (n *Node) watchPressure() {
	limit := n.limitMemory()
	tick := time.NewTicker(pressureTick)
	defer tick.Stop()
	for {
		n.broker.SetMemory(level(n.memoryUsed(), limit*memorySoft/100, limit*memoryHard/100))
		if n.store != nil {
			if free, size, err := diskSpace(n.cfg.Data.Dir); err == nil {
				soft := max(uint64(n.cfg.Data.DiskSoftBytes), size/20)
				// Turned round: what is used up to nothing.
				n.broker.SetDisk(level(size-min(free, size), size-min(soft, size), size-min(uint64(n.cfg.Data.DiskHardBytes), size)))
			}
		}
		select {
		case <-n.done:
			return
		case <-tick.C:
		}
	}
}

// level is how short something is, of which used is in use.
func level(used, soft, hard uint64) broker.Pressure {
	switch {
	case used >= hard:
		return broker.PressureHard
	case used >= soft:
		return broker.PressureSoft
	}
	return broker.PressureNone
}

// limitMemory sets Go's soft memory limit, where the environment does not, and returns it in bytes.
func (n *Node) limitMemory() uint64 {
	if os.Getenv("GOMEMLIMIT") == "" {
		if total := machineMemory(); total > 0 {
			debug.SetMemoryLimit(int64(total / 100 * uint64(n.cfg.MemoryPercent)))
		}
	}
	return uint64(debug.SetMemoryLimit(-1))
}

// memoryUsed is what Go's memory limit counts, in bytes.
func (n *Node) memoryUsed() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}

// machineMemory is the memory of the machine, or of the control group if that is less, in bytes; 0: unknown.
func machineMemory() uint64 {
	total := uint64(0)
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		if f := strings.Fields(string(b)); len(f) > 1 && f[0] == "MemTotal:" {
			kib, _ := strconv.ParseUint(f[1], 10, 64)
			total = kib << 10
		}
	}
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		b, err := os.ReadFile(filepath.Clean(file))
		if err != nil {
			continue
		}
		if limit, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64); err == nil && (total == 0 || limit < total) {
			total = limit
		}
	}
	return total
}
