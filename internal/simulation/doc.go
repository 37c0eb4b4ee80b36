// Package simulation runs the broker in a simulated world and checks after every step that it keeps its promises. The
// test is all of it; see its flags for how to run more seeds, or one again.
//
// # The parts
//
//	world ── broker (real), store.Memory in a simnet.Disk, one simnet.Link for each connection
//	  ├─ client    one well-behaved client of 3.1.1 or 5, with its own Session State, which does as it likes
//	  ├─ inspector  watches one connection at the broker's side: identifiers, Receive Maximum, answers
//	  └─ model     what was published, who is owed it, and who has got it
//
// # What is checked
//
//   - A QoS 1 or 2 message that its publisher has the acknowledgement for reaches every session that had the SUBACK for
//     a matching subscription before it was published. It is looked for in the store after each crash, and at the end.
//   - A QoS 2 message reaches no session twice.
//   - For one publisher, topic and QoS no message overtakes another, or takes its place.
//   - Of a shared subscription one member gets each message, and at QoS 2 no two.
//   - Session Present is what it must be.
//   - No Packet Identifier is used again while it is in flight; no more messages are in flight than the client takes;
//     nothing comes before CONNACK; acknowledgements come in order, and for what was sent.
//   - A will is published when its connection ends, and not else; retained messages are the last ones.
//   - In the end nothing is left over in the store.
//
// Not simulated: sessions that expire, limits of queues and rates, access rules.
package simulation
