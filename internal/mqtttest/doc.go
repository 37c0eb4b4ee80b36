// Package mqtttest is the test kit for MQTT: a broker in the test's own process, with a clock that tests move, and a
// raw client that sends whatever the test wants and says what came back.
//
// Nothing here waits for silence. That nothing came is shown by a PINGREQ whose PINGRESP comes next.
package mqtttest
