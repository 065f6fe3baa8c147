// Package config turns config.toml into typed values that can only hold
// sense, or into a list of everything that is wrong with it.
//
// The way of a file: text, a TOML tree, raw structs that mirror the file
// (schema.go, with the defaults in defaults.go), and from them the Config. Each
// step goes on after a mistake, so that one run reports all of them, each with
// its line and column, and a file that is only partly understood is never used.
//
// Parse is a function of its arguments; only Load reads files. The package
// knows what each key means, not what becomes of it.
package config
