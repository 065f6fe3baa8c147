package config

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// A configuration with a secret at every place that can have one; each
// contains "hunter2", as hex where hex is usual.
const secretive = `
[agent]
name = "a"
roles = ["egress"]
locator = "192.0.2.21"
[api]
listen = "127.0.0.1:9477"
token_file = "token"
[bgp]
asn = 65001
router_id = "192.0.2.21"
peer = [ { name = "rr1", address = "192.0.2.1", asn = 65001, password_file = "password" } ]
[auth]
key = [ { id = 7, algorithm = "hmac-sha256", file = "hmac" }, { id = 8, algorithm = "ed25519", file = "seed" } ]
[[service]]
name = "video"
cs_id = "203.0.113.10"
[[service.instance]]
id = "10.0.2.11"
[[service.instance.source]]
name = "p"
type = "prometheus"
url = "http://joe:hunter2@10.0.2.11:9100/metrics?match=up&access_token=hunter2"
headers = { Authorization = "Bearer hunter2" }
values = { delay = {} }
[netmetric]
key_file = "hmac"
`

var secretFiles = files{
	"token":    {"token-is-hunter2\n", 0o600},
	"password": {"hunter2", 0o640},
	"hmac":     {hex.EncodeToString([]byte("sixteen, hunter2")), 0o400},
	"seed":     {"thirty-two octets with a hunter2!", 0o600},
}

func init() {
	seed := secretFiles["seed"]
	seed.text = seed.text[:32]
	secretFiles["seed"] = seed
}

// TestSecretsNeverAppear prints and marshals everything that has secrets in it.
func TestSecretsNeverAppear(t *testing.T) {
	c := mustParse(t, secretive, secretFiles)
	if got := c.BGP.Peers[0].Password; got != "hunter2" {
		t.Fatalf("the session gets the password %q", got)
	}
	if got := string(c.NetMetric.Key); got != "sixteen, hunter2" {
		t.Fatalf("the probes get the key %q", got)
	}
	if got := string(c.API.Token.Reveal()); got != "token-is-hunter2" {
		t.Fatalf("the API gets the token %q", got)
	}
	outputs := map[string]string{}
	for name, v := range map[string]any{
		"config": *c, "pointer": c, "api": c.API, "auth": c.Auth, "bgp": c.BGP, "bgp pointer": &c.BGP, "secret": c.API.Token,
		"within": struct{ C *Config }{c}, "by value within": struct{ C Config }{*c}, "in a list": []Secret{c.API.Token},
		"unexported": struct{ s Secret }{c.API.Token}, "redacted": c.Redacted(),
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			outputs[name+" "+verb] = fmt.Sprintf(verb, v)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		outputs[name+" JSON"] = string(b)
		var log bytes.Buffer
		l := zerolog.New(&log)
		l.Info().Interface("v", v).Any("a", v).Msg("")
		if s, ok := v.(fmt.Stringer); ok {
			l.Info().Stringer("s", s).Msg("")
		}
		outputs[name+" zerolog"] = log.String()
	}
	if b, err := xml.Marshal(c.API.Token); err != nil {
		t.Error(err)
	} else {
		outputs["secret XML"] = string(b)
	}
	for how, got := range outputs {
		for _, form := range []string{
			"hunter2", hex.EncodeToString([]byte("hunter2")), strings.ToUpper(hex.EncodeToString([]byte("hunter2"))),
			strings.Trim(fmt.Sprint([]byte("hunter2")), "[]"), base64.StdEncoding.EncodeToString([]byte("hunter2"))[:8],
		} {
			if strings.Contains(got, form) {
				t.Errorf("%s shows it as %q:\n%s", how, form, got)
			}
		}
	}
	if got := outputs["config JSON"]; !strings.Contains(got, `"password_file":"password"`) || !strings.Contains(got, `joe:***@`) || !strings.Contains(got, "match=up\\u0026access_token=***") {
		t.Errorf("the names of files and the harmless parts should be there:\n%s", got)
	}
}

func TestSecret(t *testing.T) {
	var none Secret
	b := []byte("abc")
	s := NewSecret(b)
	b[0] = 'x'
	s.Reveal()[1] = 'x'
	for _, test := range []struct {
		what      string
		got, want any
	}{
		{"own copy", string(s.Reveal()), "abc"},
		{"zero", none.IsZero() && NewSecret(nil).IsZero() && !s.IsZero(), true},
		{"zero prints as nothing", fmt.Sprint(none), ""},
		{"others print as stars", fmt.Sprint(s), "***"},
		{"equal", s.Equal(NewSecret([]byte("abc"))) && none.Equal(Secret{}), true},
		{"unequal", s.Equal(none) || s.Equal(NewSecret([]byte("abd"))), false},
		{"fingerprints differ", s.fingerprint() == NewSecret([]byte("abd")).fingerprint(), false},
	} {
		if test.got != test.want {
			t.Errorf("%s: got %v", test.what, test.got)
		}
	}
}

func TestSecretFiles(t *testing.T) {
	raw32 := strings.Repeat("\xff\n", 16)
	for _, test := range []struct {
		name  string
		parse func([]byte) ([]byte, error)
		text  string
		want  string // octets, or "!" and the start of the complaint
	}{
		{"a password loses its line end", parsePassword, "pass word\n", "pass word"},
		{"of two lines", parsePassword, "a\nb\n", "!must be one line"},
		{"of blanks", parsePassword, " \n", "!is empty"},
		{"of 80 octets", parsePassword, strings.Repeat("x", 80), strings.Repeat("x", 80)},
		{"of 81", parsePassword, strings.Repeat("x", 81), "!is too long"},
		{"a token", parseToken, "0123456789abcdef\r\n", "0123456789abcdef"},
		{"with a blank within", parseToken, "0123456789 abcdef", "!must be one word"},
		{"an HMAC key in hex", parseHMACKey, "30313233343536373839616263646566\n", "0123456789abcdef"},
		{"in base64", parseHMACKey, "MDEyMzQ1Njc4OWFiY2RlZg==", "0123456789abcdef"},
		{"in base64 for URLs", parseHMACKey, base64.URLEncoding.EncodeToString([]byte("\xff\xfe\xfd3456789abcdef")) + "\n", "\xff\xfe\xfd3456789abcdef"},
		{"raw", parseHMACKey, "a pass phrase of some words\n", "a pass phrase of some words"},
		{"hex of 15 octets is too short, and no raw key", parseHMACKey, strings.Repeat("30", 15), "!holds a key of 15 octets"},
		{"a word that is base64", parseHMACKey, "aPassPhraseOfLetters", "!holds a key of 15 octets (in base64)"},
		{"too short", parseHMACKey, "short", "!holds a key of 5"},
		{"empty", parseHMACKey, "\n", "!is empty"},
		{"too long", parseHMACKey, strings.Repeat("a b", 400), "!holds a key of 1200"},
		{"a seed in hex", parseEd25519, strings.Repeat("41", 32) + "\n", strings.Repeat("A", 32)},
		{"in base64 without padding", parseEd25519, base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("A", 32))), strings.Repeat("A", 32)},
		{"raw, white space and all", parseEd25519, raw32, raw32},
		{"of 31 octets", parseEd25519, strings.Repeat("41", 31), "!holds 31 octets"},
		{"with the public key", parseEd25519, strings.Repeat("41", 64), "!holds 64 octets"},
		{"PEM", parseEd25519, "-----BEGIN PRIVATE KEY-----", "!is a PEM file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.parse([]byte(test.text))
			want, fails := strings.CutPrefix(test.want, "!")
			switch {
			case fails && (err == nil || !strings.HasPrefix(err.Error(), want)):
				t.Errorf("got %v, want %q", err, want)
			case !fails && (err != nil || string(got) != want):
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
