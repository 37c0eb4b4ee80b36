// Package admin is the HTTP server that shows how a broker fares: /metrics for Prometheus, /healthz for people and
// load balancers, /readyz for orchestrators. It changes nothing, and shows no names of clients, users or topics.
package admin
