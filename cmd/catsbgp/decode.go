package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/internal/api"
)

// maxDecode bounds what is read from stdin; an attribute has at most 65535
// octets.
const maxDecode = 1 << 20

func (a *app) decodeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "decode HEX|-",
		Short: "Decode a CATS path attribute",
		Long: `Decodes a CATS path attribute, as octets in hexadecimal from a debug log, a
capture or "gobgp global rib -j"; "-" reads them from stdin. Blanks, colons,
commas and 0x are ignored. The attribute may come with its flags, type and
length or as its value only. A signature is shown, not verified.

-o wide adds the TLVs as they stand on the wire.`,
		Example: `  catsbgp decode c0ff1fca000c43415453018000010000fde9…
  catsbgp decode - < attribute.hex`,
		Args: args(cobra.MinimumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			text := strings.Join(args, "")
			if len(args) == 1 && args[0] == "-" {
				b, err := io.ReadAll(io.LimitReader(a.stdin, maxDecode))
				if err != nil {
					return fmt.Errorf("decode: %w", err)
				}
				text = string(b)
			}
			octets, err := parseHex(text)
			if err != nil {
				return err
			}
			head, value, err := splitAttribute(octets)
			if err != nil {
				return err
			}
			d, err := api.DecodeValue(value)
			if err != nil {
				return fmt.Errorf("decode: %w", err)
			}
			if head != nil {
				d.AttributeType = new(int(head.kind))
				d.AttributeFlags = fmt.Sprintf("0x%02x", head.flags)
			}
			if a.output == "json" {
				return writeJSON(a.stdout, api.NewDocument(api.KindDecoded, a.now(), d))
			}
			return a.writeDecoded(head, value, d)
		},
	}
}

// parseHex reads octets the way tools print them.
func parseHex(text string) ([]byte, error) {
	text = strings.NewReplacer("0x", "", "0X", "", `\x`, "").Replace(text)
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || strings.ContainsRune(":,;.-[]{}\"'", r) {
			return -1
		}
		return r
	}, text)
	if text == "" {
		return nil, usagef("decode: no octets given")
	}
	b, err := hex.DecodeString(text)
	if err != nil {
		return nil, usagef("decode: %v", err)
	}
	return b, nil
}

// An attributeHead is flags, type and length of a path attribute (RFC 4271
// section 4.3).
type attributeHead struct {
	flags, kind byte
}

// splitAttribute takes the head off, if there is one. A value begins with the
// Profile, 0xca00; as the head of an attribute that would be one of the
// reserved type 0, so the two cannot be mistaken for each other.
func splitAttribute(b []byte) (*attributeHead, []byte, error) {
	if len(b) >= 2 && b[0] == 0xca && b[1] == 0x00 {
		return nil, b, nil
	}
	if len(b) < 3 {
		return nil, nil, errors.New("decode: too short for a path attribute")
	}
	h := &attributeHead{b[0], b[1]}
	n, rest := int(b[2]), b[3:]
	if h.flags&0x10 != 0 { // extended length
		if len(b) < 4 {
			return nil, nil, errors.New("decode: too short for a path attribute")
		}
		n, rest = int(b[2])<<8|int(b[3]), b[4:]
	}
	if n != len(rest) {
		return nil, nil, fmt.Errorf("decode: the attribute claims %d octets, %d follow its head", n, len(rest))
	}
	return h, rest, nil
}

func (a *app) writeDecoded(head *attributeHead, value []byte, d api.Decoded) error {
	var attribute advert.Attribute
	if err := advert.DecodeAttribute(value, &attribute); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	if head != nil {
		word := "optional non-transitive"
		if head.flags&0x40 != 0 {
			word = "optional transitive"
		}
		if head.flags&0x80 == 0 {
			word = "well-known"
		}
		if head.flags&0x20 != 0 {
			word += ", partial"
		}
		fmt.Fprintf(a.stdout, "attribute %d, flags 0x%02x (%s), %d octets\n", head.kind, head.flags, word, d.Length)
	} else {
		fmt.Fprintf(a.stdout, "attribute value, %d octets\n", d.Length)
	}
	if _, err := attribute.Describe().WriteTo(a.stdout); err != nil {
		return err
	}
	if a.output != "wide" {
		return nil
	}
	fmt.Fprintln(a.stdout)
	t := table{columns: []column{{head: "OFFSET", right: true}, {head: "TYPE"}, {head: "NAME"}, {head: "LENGTH", right: true}, {head: "VALUE"}}}
	for _, v := range d.TLVs {
		t.row(c(fmt.Sprint(v.Offset)), cf("%04x", v.Type), c(v.Name), c(fmt.Sprint(v.Length)), c(v.ValueHex))
	}
	return t.write(a.stdout, true, a.colorful(a.stdout))
}
