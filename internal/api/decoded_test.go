package api_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/internal/api"
)

// vector is the published test vector of CATS-BGP v1.
const vector = `ca000c434154530180000100 00fde9 ca0205 01c0000215
	ca012f10040a00020b0000002a6ab13b80005a0064 0184180107 1044180106 1244180109 400402040000203a 41040202104f
	ca011714040a00020c000000116ab13b80005a0064 0184180102
	00010500 00000064`

func octets(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDecodeValue(t *testing.T) {
	d, err := api.DecodeValue(octets(t, vector))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "decoded.json")
	want, err := os.ReadFile(golden)
	if os.IsNotExist(err) {
		os.MkdirAll("testdata", 0o755)
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
		t.Fatalf("%s was missing and is written: look at it", golden)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Error(d)
	}
	if _, err := api.DecodeValue(octets(t, "0001050000000064")); !errors.Is(err, advert.ErrNotCATS) {
		t.Errorf("an attribute of somebody else: %v", err)
	}
}

// Whatever decodes is described, with TLVs that make up the whole value.
func FuzzDecodeValue(f *testing.F) {
	f.Add(mustHex(vector))
	f.Add(mustHex("ca000c43415453018000010000fde9ca0f15010000000700112233445566778899aabbccddeeff"))
	f.Fuzz(func(t *testing.T, value []byte) {
		d, err := api.DecodeValue(value)
		if err != nil {
			return
		}
		if _, err := json.Marshal(d); err != nil {
			t.Errorf("not encodable: %v", err)
		}
		n := 0
		for _, tlv := range d.TLVs {
			n += 3 + tlv.Length
		}
		if n != len(value) {
			t.Errorf("TLVs make up %d of %d octets", n, len(value))
		}
	})
}

func mustHex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}
