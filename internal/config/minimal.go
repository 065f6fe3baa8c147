package config

import (
	"bytes"
	_ "embed"
)

//go:embed minimal.toml
var minimal []byte

// Minimal returns a small configuration that starts without peers: what a
// fresh installation has.
func Minimal() []byte { return bytes.Clone(minimal) }
