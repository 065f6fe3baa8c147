package advert

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the descriptions in testdata (never the octets)")

// A vector is a published path attribute, testdata/*.hex.
type vector struct {
	name   string
	prefix netip.Prefix
	key    *Key // nil: not signed
	flags  byte
	typ    byte
	value  []byte
}

func readVector(t testing.TB, path string) vector {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	v := vector{name: strings.TrimSuffix(filepath.Base(path), ".hex")}
	var octets []byte
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
		switch words := strings.Fields(line); {
		case len(words) == 0:
		case words[0] == "prefix:":
			v.prefix = netip.MustParsePrefix(words[1])
		case words[0] == "key:":
			v.key = parseKey(t, words[1:])
		default:
			b, err := hex.DecodeString(strings.Join(words, ""))
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			octets = append(octets, b...)
		}
	}
	head, n := 3, int(octets[2])
	if octets[0]&0x10 != 0 { // extended length
		head, n = 4, n<<8|int(octets[3])
	}
	v.flags, v.typ, v.value = octets[0], octets[1], octets[head:]
	if len(v.value) != n {
		t.Fatalf("%s: attribute length %d, octets %d", path, n, len(v.value))
	}
	return v
}

func parseKey(t testing.TB, words []string) *Key {
	t.Helper()
	id, _ := strconv.ParseUint(words[0], 10, 32)
	secret, err := hex.DecodeString(words[2])
	if err != nil {
		t.Fatal(err)
	}
	if words[1] == "hmac-sha256" {
		return must(NewHMACKey(uint32(id), secret))
	}
	return must(NewEd25519Key(uint32(id), secret))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func vectors(t testing.TB) (all []vector) {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.hex")
	if err != nil || len(paths) < 6 {
		t.Fatalf("vectors: %v, %v", paths, err)
	}
	for _, p := range paths {
		all = append(all, readVector(t, p))
	}
	return all
}

func vectorNamed(t testing.TB, name string) vector {
	t.Helper()
	return readVector(t, filepath.Join("testdata", name+".hex"))
}

func mustDecode(t testing.TB, value []byte) *Attribute {
	t.Helper()
	a := new(Attribute)
	if err := DecodeAttribute(value, a); err != nil {
		t.Fatal(err)
	}
	return a
}

// The published octets mean what testdata/*.txt and *.json say, and saying it
// again gives the same octets.
func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.name, func(t *testing.T) {
			a := mustDecode(t, v.value)
			if a.Ignored.Any() {
				t.Errorf("ignored: %q", a.Ignored.sentences())
			}
			golden(t, v.name+".txt", []byte(a.Describe().String()))
			doc := must(json.MarshalIndent(a.Describe(), "", "  "))
			golden(t, v.name+".json", append(doc, '\n'))

			again := must(AppendAttribute(nil, a))
			if n := AttributeLen(a); n != len(again) {
				t.Errorf("AttributeLen %d, appended %d", n, len(again))
			}
			if v.key != nil {
				again = must(v.key.Sign(again, v.prefix))
			}
			if !bytes.Equal(again, v.value) {
				t.Errorf("encodes as\n%x, want\n%x", again, v.value)
			}
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

// The vector of the specification, from the values that it names.
func TestSpecificationVector(t *testing.T) {
	const generated = 1790000000
	first := Instance{ID: must(ParseCSCIID("10.0.2.11")), Sequence: 42, Generated: generated, Validity: 90, Window: 100}
	first.SetScore(NormFI, 7, StatMean, SourceAggregation|SourceNormalization)
	first.SetScore(ComputingComb, 6, StatMean, SourceAggregation|SourceNormalization)
	first.SetScore(ServiceComb, 9, StatMean, SourceAggregation|SourceNormalization)
	first.SetServiceDelayDur(8250*1000, StatMean, SourceMeasured)
	first.SetUtilisation(0.4175, StatMean, SourceMeasured)
	second := Instance{ID: must(ParseCSCIID("10.0.2.12")), Flags: Drain, Sequence: 17, Generated: generated, Validity: 90, Window: 100}
	second.SetScore(NormFI, 2, StatMean, SourceAggregation|SourceNormalization)
	a := &Attribute{
		Profile:   Profile{Flags: CompleteList, Normalization: 1, Domain: 65001},
		Locator:   netip.MustParseAddr("192.0.2.21"),
		Instances: []Instance{first, second},
		Site:      Site{Preference: 100},
	}

	v := vectorNamed(t, "t-mode")
	if v.flags != 0xc0 || v.typ != 255 || len(v.value) != 0x6b {
		t.Errorf("head %x %x %x", v.flags, v.typ, len(v.value))
	}
	if got := must(AppendAttribute(nil, a)); !bytes.Equal(got, v.value) {
		t.Errorf("encodes as\n%x, want\n%x", got, v.value)
	}
	if got := mustDecode(t, v.value); !got.Equal(a) {
		t.Errorf("decodes as\n%s, want\n%s", got.Describe(), a.Describe())
	}
	// The sizes that the specification counts with.
	if n := InstanceLen(&first); n != 50 {
		t.Errorf("InstanceLen %d, want 50", n)
	}
	first.ID = must(ParseCSCIID("2001:db8::11"))
	if n := InstanceLen(&first); n != 62 {
		t.Errorf("InstanceLen %d with an IPv6 identifier, want 62", n)
	}
}

// The E-mode vector is what FromAggregate makes of its instance.
func TestEdgeMetadataVector(t *testing.T) {
	v := vectorNamed(t, "e-mode")
	if v.flags != 0x80 || v.typ != 42 {
		t.Errorf("head %x %d", v.flags, v.typ)
	}
	a := mustDecode(t, v.value)
	s := Site{Preference: 100, Availability: Availability{Set: true, SiteID: 9, Percent: 100}, ASScope: []uint32{65001}}
	s.FromAggregate(&a.Instances[0])
	if !s.Equal(&a.Site) {
		t.Errorf("FromAggregate gives %+v, want %+v", s, a.Site)
	}
}

// A communityBlock is one route of testdata/c-mode.txt.
type communityBlock struct {
	route       netip.Prefix
	communities []LargeCommunity
	want        []string
}

func communityVectors(t testing.TB) (blocks []communityBlock) {
	t.Helper()
	f, err := os.Open("testdata/c-mode.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		switch {
		case line == "" || line[0] == '#':
		case strings.HasPrefix(line, "route "):
			blocks = append(blocks, communityBlock{route: netip.MustParsePrefix(line[6:])})
		case strings.HasPrefix(line, "= "):
			b := &blocks[len(blocks)-1]
			b.want = append(b.want, line[2:])
		default:
			b := &blocks[len(blocks)-1]
			var c LargeCommunity
			if _, err := fmt.Sscanf(line, "%d:%d:%d", &c.Global, &c.Local1, &c.Local2); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			b.communities = append(b.communities, c)
		}
	}
	return blocks
}

func communityLine(i *Instance) string {
	show := func(v uint64, ok bool) string {
		if !ok {
			return "-"
		}
		return utoa(v)
	}
	load, ok := i.Value(Utilisation)
	return fmt.Sprintf("%s %s %d %s %s", i.Service, i.ID, i.Flags, show(i.Value(NormFI)), show(load/100, ok))
}

var testServices = map[uint32]CSID{5: must(ParseCSID("2001:db8:10::/48"))}

func testService(index uint32) (CSID, bool) {
	c, ok := testServices[index]
	return c, ok
}

func TestCommunityVectors(t *testing.T) {
	blocks := communityVectors(t)
	if len(blocks) < 4 {
		t.Fatalf("%d blocks", len(blocks))
	}
	for _, b := range blocks {
		found, unusable := DecodeCommunities(b.communities, 65001, b.route, testService)
		if unusable != 0 {
			t.Errorf("%s: %d unusable", b.route, unusable)
		}
		var got []string
		for k := range found {
			got = append(got, communityLine(&found[k]))
		}
		if strings.Join(got, "\n") != strings.Join(b.want, "\n") {
			t.Errorf("%s: got\n%s\nwant\n%s", b.route, strings.Join(got, "\n"), strings.Join(b.want, "\n"))
		}

		var again []LargeCommunity
		for k := range found {
			again = must(AppendCommunities(again, 65001, &found[k], CommunityIndex{Service: 5}))
		}
		if again = sorted(again); !slices.Equal(again, sorted(b.communities)) {
			t.Errorf("%s: encodes as %v, want %v", b.route, again, b.communities)
		}
	}
}

func sorted(cs []LargeCommunity) []LargeCommunity {
	return slices.SortedFunc(slices.Values(cs), func(x, y LargeCommunity) int {
		return cmp.Or(cmp.Compare(x.Global, y.Global), cmp.Compare(x.Local1, y.Local1), cmp.Compare(x.Local2, y.Local2))
	})
}
