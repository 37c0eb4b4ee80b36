package interop

import (
	"context"
	"net"
	"testing"

	"github.com/eclipse/paho.golang/paho"
	"github.com/xdg-go/scram"

	mt "nightjar/internal/mqtttest"
)

// scramHandler is what a user of paho.golang writes for SCRAM.
type scramHandler struct {
	t      *testing.T
	method string
	talk   *scram.ClientConversation
}

// begin starts anew and returns the first message.
func (h *scramHandler) begin(hash scram.HashGeneratorFcn, user, password string) []byte {
	h.t.Helper()
	client, err := hash.NewClient(user, password, "")
	must(h.t, err)
	h.talk = client.NewConversation()
	return h.answer(nil)
}

func (h *scramHandler) answer(challenge []byte) []byte {
	text, err := h.talk.Step(string(challenge))
	if err != nil {
		h.t.Errorf("after %q: %v", challenge, err)
	}
	return []byte(text)
}

// Authenticate implements paho.Auther.
func (h *scramHandler) Authenticate(a *paho.Auth) *paho.Auth {
	return &paho.Auth{ReasonCode: 0x18, Properties: &paho.AuthProperties{AuthMethod: h.method, AuthData: h.answer(a.Properties.AuthData)}}
}

// Authenticated implements paho.Auther.
func (h *scramHandler) Authenticated() {}

// paho.golang logs in by SCRAM, again while it is connected, and not with a wrong password.
func TestPahoSCRAM(t *testing.T) {
	b := mt.NewBroker(t, mt.Options{Users: map[string]string{"ann": "secret"}, SCRAM: true})
	for method, hash := range map[string]scram.HashGeneratorFcn{"SCRAM-SHA-256": scram.SHA256, "SCRAM-SHA-512": scram.SHA512} {
		for _, password := range []string{"secret", "wrong"} {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			conn, err := net.Dial("tcp", b.Addr)
			must(t, err)
			h := &scramHandler{t: t, method: method}
			client := paho.NewClient(paho.ClientConfig{ClientID: "c", Conn: conn, AuthHandler: h, PacketTimeout: patience})
			ack, err := client.Connect(ctx, &paho.Connect{ClientID: "c", CleanStart: true, KeepAlive: 60, Properties: &paho.ConnectProperties{
				AuthMethod: method, AuthData: h.begin(hash, "ann", password), ReceiveMaximum: paho.Uint16(20),
			}})
			if password == "wrong" {
				if err == nil || ack == nil || ack.ReasonCode != 0x87 {
					t.Errorf("%s: %+v, %v", method, ack, err)
				}
				continue
			}
			must(t, err)
			h.answer(ack.Properties.AuthData)
			if !h.talk.Valid() {
				t.Error("the broker has not proved itself")
			}
			for _, password := range []string{"secret", "wrong"} {
				again, err := client.Authenticate(ctx, &paho.Auth{ReasonCode: 0x19, Properties: &paho.AuthProperties{
					AuthMethod: method, AuthData: h.begin(hash, "ann", password),
				}})
				if success := err == nil && again.Success; success != (password == "secret") {
					t.Errorf("%s again with %s: %+v, %v", method, password, again, err)
				}
			}
			<-client.Done()
		}
	}
}
