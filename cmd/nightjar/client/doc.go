// Package client is the MQTT command-line client of Nightjar: `nightjar pub` publishes, `nightjar sub`
// subscribes and prints. Both take the flags of mosquitto_pub and mosquitto_sub, so that scripts move over
// unchanged, and both talk to any broker.
//
//	flags ──► settings ──► session (one network connection) ──► publisher or subscriber
//	                          │
//	                          ├── session3: MQTT 3.1 and 3.1.1 by paho.mqtt.golang
//	                          └── session5: MQTT 5 by paho.golang
//
// The process ends with 0 when everything asked for was done, 1 when something failed at run time (refused,
// lost, timed out), and 2 when the command line is wrong. Neither command connects again after a loss: it says
// what happened and ends, so that whoever started it decides.
package client
