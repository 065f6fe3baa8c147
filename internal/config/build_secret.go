package config

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// What the content of secret files must be. None of these complaints quotes
// any of it.

// maxMD5Password is TCP_MD5SIG_MAXKEYLEN of Linux.
const maxMD5Password = 80

func parsePassword(text []byte) ([]byte, error) {
	s := bytes.TrimSpace(text)
	switch {
	case len(s) == 0:
		return nil, complain("", "is empty")
	case len(s) > maxMD5Password:
		return nil, complain("", "is too long for TCP MD5: %d octets, at most %d", len(s), maxMD5Password)
	case !visibleASCII(s, true):
		return nil, complain("", "must be one line of printable ASCII")
	}
	return s, nil
}

func parseToken(text []byte) ([]byte, error) {
	s := bytes.TrimSpace(text)
	switch {
	case len(s) == 0:
		return nil, complain("openssl rand -hex 32", "is empty")
	case len(s) < 16:
		return nil, complain("openssl rand -hex 32", "is too short: %d characters, at least 16", len(s))
	case !visibleASCII(s, false):
		return nil, complain("openssl rand -hex 32", "must be one word of printable ASCII")
	}
	return s, nil
}

func parseHMACKey(text []byte) ([]byte, error) {
	if err := notPEM(text); err != nil {
		return nil, err
	}
	key, how := decodeKey(text)
	switch {
	case len(key) == 0:
		return nil, complain("openssl rand -hex 32", "is empty")
	case len(key) < 16:
		return nil, complain("openssl rand -hex 32", "holds a key of %d octets (%s), at least 16 are needed", len(key), how)
	case len(key) > 1024:
		return nil, complain("", "holds a key of %d octets (%s), at most 1024 make sense", len(key), how)
	}
	return key, nil
}

func parseEd25519(text []byte) ([]byte, error) {
	if err := notPEM(text); err != nil {
		return nil, err
	}
	if len(text) == 32 {
		return text, nil
	}
	key, how := decodeKey(text)
	if len(key) == 64 {
		return nil, complain("the seed is its first half", "holds 64 octets, most likely seed and public key; 32 are needed")
	}
	if len(key) != 32 {
		return nil, complain("32 octets, as 64 hex digits, in base64 or raw", "holds %d octets (%s), an Ed25519 seed or public key has 32", len(key), how)
	}
	return key, nil
}

func notPEM(text []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("-----BEGIN")) {
		return complain("the last 32 octets of `openssl pkey -outform DER` are the key", "is a PEM file; the octets themselves are needed, in hex or base64")
	}
	return nil
}

// decodeKey takes text as hex if it can be that, else as base64 if it can be
// that, else as it stands. It also returns which.
func decodeKey(text []byte) (key []byte, how string) {
	s := strings.TrimSpace(string(text))
	if b, err := hex.DecodeString(s); err == nil {
		return b, "in hex"
	}
	encodings := []*base64.Encoding{base64.StdEncoding, base64.URLEncoding}
	if len(s) == 43 {
		// Without its padding, base64 looks like a word: only the length that
		// 32 octets have is taken for it.
		encodings = append(encodings, base64.RawStdEncoding, base64.RawURLEncoding)
	}
	for _, enc := range encodings {
		if b, err := enc.DecodeString(s); err == nil {
			return b, "in base64"
		}
	}
	return []byte(s), "as it stands"
}

func visibleASCII(s []byte, blanks bool) bool {
	for _, c := range s {
		if c > '~' || c < ' ' || c == ' ' && !blanks {
			return false
		}
	}
	return true
}
