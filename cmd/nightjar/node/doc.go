// Package node is a whole broker: it wires the parts together, starts them in order, watches over them, and ends them
// in order. The command `nightjar serve` runs one; end-to-end tests may run several.
package node
