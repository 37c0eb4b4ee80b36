package broker_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"nightjar/broker"
	mt "nightjar/internal/mqtttest"
	"nightjar/packets"
)

type world struct {
	b       *mt.Broker
	clients map[string]*mt.Client
}

func (w *world) sync(t *testing.T) string {
	var names []string
	for n := range w.clients {
		names = append(names, n)
	}
	sort.Strings(names)
	got := map[string][]string{}
	for round := 0; round < 3; round++ {
		for _, n := range names {
			c := w.clients[n]
			c.Raw(packets.AppendPingreq(nil))
			for {
				p, err := c.Next()
				if err != nil {
					got[n] = append(got[n], "closed")
					delete(w.clients, n)
					break
				}
				if _, ok := p.(mt.Pingresp); ok {
					break
				}
				switch m := p.(type) {
				case *packets.Publish:
					got[n] = append(got[n], fmt.Sprintf("%s=%s q%d r%t d%t ids%v exp%v", m.TopicName, m.Payload, m.QoS, m.Retain, m.Dup, m.SubscriptionIdentifiers, m.HasMessageExpiryInterval))
					switch m.QoS {
					case 1:
						c.Ack(packets.PUBACK, m.PacketID)
					case 2:
						c.Ack(packets.PUBREC, m.PacketID)
					}
				case *packets.Ack:
					if m.Type == packets.PUBREL {
						c.Ack(packets.PUBCOMP, m.PacketID)
					} else if m.Type == packets.PUBREC {
						got[n] = append(got[n], fmt.Sprintf("PUBREC %02x", byte(m.ReasonCode)))
						c.Ack(packets.PUBREL, m.PacketID)
					} else {
						got[n] = append(got[n], fmt.Sprintf("%v %02x", m.Type, byte(m.ReasonCode)))
					}
				case *packets.Suback:
					got[n] = append(got[n], fmt.Sprintf("SUBACK %x", m.ReasonCodes))
				case *packets.Unsuback:
					got[n] = append(got[n], fmt.Sprintf("UNSUBACK %x", m.ReasonCodes))
				case *packets.Disconnect:
					got[n] = append(got[n], fmt.Sprintf("DISCONNECT %02x", byte(m.ReasonCode)))
				default:
					got[n] = append(got[n], fmt.Sprintf("%T", p))
				}
				if len(got[n]) > 500 {
					t.Fatal("too much", got[n][:5])
				}
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
	var out []string
	for _, n := range names {
		sort.Strings(got[n])
		if len(got[n]) > 0 {
			out = append(out, n+": "+strings.Join(got[n], " | "))
		}
	}
	return strings.Join(out, "\n")
}

func TestDiff(t *testing.T) {
	dir := t.TempDir()
	port := "18899"
	conf := filepath.Join(dir, "m.conf")
	os.WriteFile(conf, []byte("listener "+port+" 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nmax_inflight_messages 100\n"), 0o600)
	cmd := exec.Command("/usr/sbin/mosquitto", "-c", conf)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	for {
		if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			c.Close()
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	bad := 0
	for seed := uint64(1); seed <= 60 && bad < 6; seed++ {
		ours := &world{mt.NewBroker(t, mt.Options{Loops: 1, Config: func(c *broker.Config) { c.Limits.SessionExpiryMax = 4000000000 * time.Second }}), map[string]*mt.Client{}}
		theirs := &world{&mt.Broker{Addr: "127.0.0.1:" + port}, map[string]*mt.Client{}}
		worlds := []*world{ours, theirs}
		rng := rand.New(rand.NewPCG(seed, 7))
		var log []string
		names := []string{"A", "B", "C", "D"}
		vers := map[string]packets.Version{"A": 5, "B": 5, "C": 4, "D": 4}
		topicsList := []string{"a/1", "a/2", "b/1", "b", "c", "w", "w/1", "/x"}
		filters := []string{"a/+", "b/#", "c", "w", "w/1", "$share/g/s", "$share/g/s/+", "/x"}
		pref := fmt.Sprint("s", seed, "/")
		fix := func(f string) string {
			if strings.HasPrefix(f, "$share/g/") {
				return "$share/g/" + pref + f[9:]
			}
			return pref + f
		}
		topicsList = append(topicsList, "s", "s/1")
		for step := 0; step < 80; step++ {
			n := names[rng.IntN(4)]
			v := vers[n]
			var op func(w *world) string
			desc := ""
			online := ours.clients[n] != nil
			k := rng.IntN(100)
			switch {
			case !online || k < 5:
				clean := rng.IntN(3) == 0
				exp := uint32(rng.IntN(2) * 1000)
				var o []func(*packets.Connect)
				if !clean {
					o = append(o, mt.Resume(exp))
				} else if v == 5 && rng.IntN(2) == 0 {
					o = append(o, mt.Resume(exp), func(p *packets.Connect) { p.CleanStart = true })
				}
				if rng.IntN(3) == 0 {
					wq, wr := packets.QoS(rng.IntN(3)), rng.IntN(2) == 0
					o = append(o, mt.Will(pref+"w", fmt.Sprint("will", step), wq, func(x *packets.Will) { x.Retain = wr }))
				}
				if v == 5 && rng.IntN(4) == 0 {
					o = append(o, mt.ReceiveMaximum(uint16(1+rng.IntN(3))))
				}
				desc = fmt.Sprintf("connect %s clean=%t exp=%d opts=%d", n, clean, exp, len(o))
				op = func(w *world) string {
					if old := w.clients[n]; old != nil {
						old.Close()
						delete(w.clients, n)
						time.Sleep(5 * time.Millisecond)
						w.sync(t)
					}
					c := w.b.Dial(t, v)
					c.SendConnect(pref+n, o...)
					p, err := c.Next()
					if err != nil {
						return err.Error()
					}
					if old := w.clients[n]; old != nil {
						old.Close()
					}
					w.clients[n] = c
					a := p.(*packets.Connack)
					return fmt.Sprintf("connack %x present %t", byte(a.ReasonCode), a.SessionPresent)
				}
			case k < 25:
				f := fix(filters[rng.IntN(len(filters))])
				q := packets.QoS(rng.IntN(3))
				var o []func(*packets.Subscribe)
				if v == 5 {
					if rng.IntN(2) == 0 {
						o = append(o, mt.SubscriptionID(uint32(1+rng.IntN(9))))
					}
					if rng.IntN(3) == 0 && !strings.HasPrefix(f, "$share") {
						o = append(o, mt.NoLocal)
					}
					if rng.IntN(3) == 0 {
						o = append(o, mt.RetainAsPublished)
					}
					o = append(o, mt.RetainHandling(byte(rng.IntN(3))))
				}
				var p packets.Subscribe
				p.PacketID = uint16(1000 + step)
				p.Subscriptions = []packets.Subscription{{TopicFilter: []byte(f), Options: packets.SubscriptionOptions{QoS: q}}}
				for _, x := range o {
					x(&p)
				}
				desc = fmt.Sprintf("subscribe %s %s q%d %+v id %d", n, f, q, p.Subscriptions[0].Options, p.Properties.SubscriptionIdentifier)
				op = func(w *world) string { w.clients[n].Send(&p); return "" }
			case k < 30:
				f := fix(filters[rng.IntN(len(filters))])
				desc = "unsubscribe " + n + " " + f
				op = func(w *world) string {
					w.clients[n].Send(&packets.Unsubscribe{PacketID: uint16(1000 + step), TopicFilters: [][]byte{[]byte(f)}})
					return ""
				}
			case k < 80:
				topic := pref + topicsList[rng.IntN(len(topicsList))]
				q, r := packets.QoS(rng.IntN(3)), rng.IntN(3) == 0
				payload := fmt.Sprint("m", step)
				if strings.Contains(topic, "/s") {
					r = false
				}
				if r && rng.IntN(4) == 0 {
					payload = ""
				}
				exp := v == 5 && rng.IntN(4) == 0
				desc = fmt.Sprintf("publish %s %s=%s q%d r%t e%t", n, topic, payload, q, r, exp)
				op = func(w *world) string {
					p := &packets.Publish{TopicName: []byte(topic), Payload: []byte(payload), QoS: q, Retain: r}
					if q > 0 {
						p.PacketID = uint16(1000 + step)
					}
					if exp {
						mt.Expiry(1000)(p)
					}
					w.clients[n].Send(p)
					return ""
				}
			case k < 90:
				desc = "close " + n
				op = func(w *world) string { w.clients[n].Close(); delete(w.clients, n); return "" }
			default:
				code := packets.Success
				if v == 5 && rng.IntN(2) == 0 {
					code = packets.DisconnectWithWill
				}
				desc = fmt.Sprintf("disconnect %s %v", n, code)
				op = func(w *world) string {
					w.clients[n].Send(&packets.Disconnect{ReasonCode: code})
					w.clients[n].Next()
					delete(w.clients, n)
					return ""
				}
			}
			var res [2]string
			for i, w := range worlds {
				res[i] = op(w)
				if strings.HasPrefix(desc, "close") || strings.HasPrefix(desc, "disc") {
					time.Sleep(5 * time.Millisecond)
				}
				res[i] += "\n" + w.sync(t)
			}
			log = append(log, desc)
			if res[0] != res[1] {
				bad++
				var rel []string
				for _, l := range log {
					rel = append(rel, l)
				}
				t.Logf("seed %d step %d: %s\nOURS%s\nTHEIRS%s\nLOG\n%s", seed, step, desc, res[0], res[1], strings.Join(rel[max(0, len(rel)-25):], "\n"))
				break
			}
		}
	}
}
