// Package configs is the configuration of the broker: its keys, their defaults, where values come from, and
// everything that can be said to be wrong with them before anything is opened.
//
//	defaults < file (YAML, TOML, JSON) < environment (NIGHTJAR_SECTION__KEY) < flags
//
// viper puts the layers over one another. What it would let pass is refused before: unknown and repeated keys,
// and values of another kind than the key's. The keys are made from the names of the struct fields, so that a new
// limit of the broker is a key of the file at once: ConnectTimeout is connect_timeout. A number whose field name ends in
// Bytes is a size, which may carry a unit.
//
// [Load] returns every fault at once, each with the file and line, variable or flag that it comes from.
package configs
