package mqtttest

import "nightjar/packets"

// Resume is Clean Start 0; Session Expiry Interval as given in v5.
func Resume(expirySeconds uint32) func(*packets.Connect) {
	return func(p *packets.Connect) {
		p.CleanStart = false
		if p.Version >= packets.V5 {
			p.Properties.SessionExpiryInterval = expirySeconds
			p.Properties.Present.Add(packets.PropSessionExpiryInterval)
		}
	}
}

// Login sends user name and password.
func Login(user, password string) func(*packets.Connect) {
	return func(p *packets.Connect) {
		p.HasUserName, p.UserName = true, []byte(user)
		p.HasPassword, p.Password = true, []byte(password)
	}
}

// KeepAlive asks for a Keep Alive.
func KeepAlive(seconds uint16) func(*packets.Connect) {
	return func(p *packets.Connect) { p.KeepAliveSeconds = seconds }
}

// Will sets a will, with its properties.
func Will(topic, payload string, qos packets.QoS, options ...func(*packets.Will)) func(*packets.Connect) {
	return func(p *packets.Connect) {
		p.HasWill = true
		p.Will = packets.Will{TopicName: []byte(topic), Payload: []byte(payload), QoS: qos}
		for _, o := range options {
			o(&p.Will)
		}
	}
}

// WillDelay puts the will off.
func WillDelay(seconds uint32) func(*packets.Will) {
	return func(w *packets.Will) {
		w.Properties.WillDelayInterval = seconds
		w.Properties.Present.Add(packets.PropWillDelayInterval)
	}
}

// Properties changes the properties of CONNECT, and says which are there.
func Properties(set func(*packets.Properties), present ...packets.PropertyID) func(*packets.Connect) {
	return func(p *packets.Connect) {
		set(&p.Properties)
		p.Properties.Present.Add(present...)
	}
}

// ReceiveMaximum is what the client takes at a time.
func ReceiveMaximum(n uint16) func(*packets.Connect) {
	return Properties(func(p *packets.Properties) { p.ReceiveMaximum = n }, packets.PropReceiveMaximum)
}

// MaximumPacketSize is the largest packet that the client takes.
func MaximumPacketSize(n uint32) func(*packets.Connect) {
	return Properties(func(p *packets.Properties) { p.MaximumPacketSize = n }, packets.PropMaximumPacketSize)
}

// TopicAliasMaximum is how many aliases the client takes.
func TopicAliasMaximum(n uint16) func(*packets.Connect) {
	return Properties(func(p *packets.Properties) { p.TopicAliasMaximum = n }, packets.PropTopicAliasMaximum)
}

// Retain sets RETAIN.
func Retain(p *packets.Publish) { p.Retain = true }

// Dup sets DUP.
func Dup(p *packets.Publish) { p.Dup = true }

// PacketID sets the Packet Identifier.
func PacketID(id uint16) func(*packets.Publish) {
	return func(p *packets.Publish) { p.PacketID = id }
}

// Expiry sets the Message Expiry Interval.
func Expiry(seconds uint32) func(*packets.Publish) {
	return func(p *packets.Publish) { p.HasMessageExpiryInterval, p.MessageExpiryInterval = true, seconds }
}

// Alias sets a Topic Alias.
func Alias(n uint16) func(*packets.Publish) {
	return func(p *packets.Publish) { p.TopicAlias = n }
}

// SubscriptionID sets the Subscription Identifier.
func SubscriptionID(id uint32) func(*packets.Subscribe) {
	return func(p *packets.Subscribe) {
		p.Properties.SubscriptionIdentifier = id
		p.Properties.Present.Add(packets.PropSubscriptionIdentifier)
	}
}

// NoLocal sets No Local.
func NoLocal(p *packets.Subscribe) { p.Subscriptions[0].Options.NoLocal = true }

// RetainAsPublished sets Retain As Published.
func RetainAsPublished(p *packets.Subscribe) { p.Subscriptions[0].Options.RetainAsPublished = true }

// RetainHandling sets Retain Handling.
func RetainHandling(n byte) func(*packets.Subscribe) {
	return func(p *packets.Subscribe) { p.Subscriptions[0].Options.RetainHandling = n }
}
