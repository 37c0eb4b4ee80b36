// Package interop has clients that no one here wrote talk to the broker, each over every transport and version that it
// speaks. All that it holds is tests; docs/interop.md is their table, kept up to date by
//
//	go test ./internal/interop -run TestTable -update
//
// Scenarios are written once, against the interface peer. Clients in Go implement it directly; those in other
// languages are told by a script what to do (driver.mjs for MQTT.js in Node and in Chromium, python.py); mosquitto_pub and
// mosquitto_sub are run as anybody would run them. A client that is not installed fails its tests: .ci/deps installs all.
package interop
