package auth

import (
	"bytes"

	"github.com/xdg-go/scram"

	"nightjar/packets"
)

// exchangeDataMax is the largest Authentication Data that is looked at, in bytes. A name of the longest allowed kind, nonces and
// the proof need less than half of it.
const exchangeDataMax = 4096

// Exchange is one authentication by SCRAM [v5 4.12] (RFC 5802, RFC 7677). It is used by one goroutine at a time. The costly
// work is the client's: each step here takes microseconds.
type Exchange struct {
	auth   *Auth
	method *scramMethod
	who    Credentials
	talk   *scram.ServerConversation
	entry  passwordHash // what talk works with
	known  bool         // entry is that of a user, and no fake
}

// Begin starts an authentication by a method that the client names. Method is BadAuthenticationMethod where there is no such
// one, or no user who could use it. Where c has a user name, from CONNECT or a certificate, it must be the one that is
// proved.
func (a *Auth) Begin(method string, c Credentials) (*Exchange, error) {
	u := a.loaded.Load().users
	for i, m := range scramMethods {
		if m.name != method || u == nil || len(u.scram[i].byName) == 0 {
			continue
		}
		c.Password = nil // only valid during the call
		x := &Exchange{auth: a, method: m, who: c}
		server, err := m.hash.NewServer(x.lookup)
		if err != nil {
			return nil, err
		}
		x.talk = server.NewConversation()
		return x, nil
	}
	return nil, packets.Errorf(packets.BadAuthenticationMethod, "v5 MQTT-4.12.0-1", "the authentication method is not supported here")
}

// Method is the Authentication Method of the exchange.
func (x *Exchange) Method() string { return x.method.name }

// Step takes what the client says and returns the answer to it. With the last answer comes who the client is.
// Every error is NotAuthorized, and ends the exchange: an unknown user gets the one of a wrong password, at the same step.
func (x *Exchange) Step(data []byte) (answer []byte, id *Identity, err error) {
	if len(data) > exchangeDataMax {
		return nil, nil, packets.Errorf(packets.NotAuthorized, "", "authentication data of more than %d bytes", exchangeDataMax)
	}
	// Its errors show what the client sent: they are neither told nor logged.
	text, err := x.talk.Step(string(data))
	switch {
	case err != nil && x.entry.method == nil:
		return nil, nil, packets.Errorf(packets.NotAuthorized, "", "the authentication data is not what begins a SCRAM exchange without channel binding")
	case err != nil:
		return nil, nil, failed()
	case !x.talk.Done():
		return []byte(text), nil, x.checkName()
	case !x.talk.Valid() || !x.known || !x.current():
		return nil, nil, failed()
	}
	return []byte(text), x.auth.user(x.talk.Username(), x.who), nil
}

// lookup finds the entry of a user, or makes one up, in the same time.
func (x *Exchange) lookup(name string) (scram.StoredCredentials, error) {
	u := x.auth.loaded.Load().users
	fake := u.fake(x.method, name)
	if x.entry, x.known = u.scram[x.method.index].byName[name]; !x.known {
		x.entry = fake
	}
	return scram.StoredCredentials{
		KeyFactors: scram.KeyFactors{Salt: string(x.entry.salt), Iters: int(x.entry.iterations)},
		StoredKey:  x.entry.key, ServerKey: x.entry.server,
	}, nil
}

// checkName holds the user to the name that the client has, and to no other one that it wants to act for.
func (x *Exchange) checkName() error {
	name, other := x.talk.Username(), x.talk.AuthzID()
	if other != "" && other != name ||
		x.who.HasUserName && x.who.UserName != name ||
		x.who.CertificateName != "" && x.who.CertificateName != name {
		return packets.Errorf(packets.NotAuthorized, "", "the user name in the authentication data is not the one of the connection")
	}
	return nil
}

// current tells whether the user still has the entry: files may have been loaded meanwhile.
func (x *Exchange) current() bool {
	now := x.auth.loaded.Load().users.scram[x.method.index].byName[x.talk.Username()]
	return bytes.Equal(now.key, x.entry.key)
}

// failed is one text for all that can be wrong with a proof.
func failed() error {
	return packets.Errorf(packets.NotAuthorized, "", "authentication failed")
}
