package api

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/catsbgp/catsbgp/advert"
)

// Describe puts a decoded attribute into words. The wire form (TLVs, Length)
// is not known here; DecodeValue adds it.
func Describe(a *advert.Attribute) Decoded {
	d := a.Describe()
	out := Decoded{
		Profile: &DecodedProfile{
			Version: d.Version, Complete: d.Complete, Aggregated: d.Aggregated, Profile: d.Normalization, Domain: d.Domain,
		},
		Locator: d.Locator, Problems: d.Ignored,
	}
	if a.Site.Preference != 0 {
		out.SitePreference = new(a.Site.Preference)
	}
	if v := a.Site.Availability; v.Set || v.Bind {
		out.SiteID = new(v.SiteID)
		if v.Set {
			out.SiteAvailability = new(int(v.Percent))
		}
	}
	for _, v := range d.Site {
		out.Site = append(out.Site, DecodedSite{v.Name, v.Value})
	}
	for _, i := range d.Instances {
		in := DecodedInstance{
			Service: i.Service, CSCIID: i.ID.String(), Flags: i.Flags, Sequence: uint32(i.Sequence), GeneratedAt: i.Generated,
			ValiditySeconds: float64(i.ValiditySeconds), WindowSeconds: i.WindowSeconds,
		}
		for _, m := range i.Metrics {
			level, _ := strconv.Atoi(strings.TrimPrefix(m.Level, "L"))
			in.Metrics = append(in.Metrics, DecodedMetric{
				Type: int(m.Type), Name: m.Name, Level: level, Statistic: m.Statistic, Source: m.Source,
				Value: m.Value, Unit: m.Unit, Text: metricText(m.Value, m.Unit),
			})
		}
		out.Instances = append(out.Instances, in)
	}
	if services := a.Services(); len(services) == 1 {
		out.Service = services[0].String()
	}
	if d.Auth != nil {
		out.Auth = &DecodedAuth{Algorithm: d.Auth.Algorithm, KeyID: d.Auth.KeyID}
	}
	return out
}

// metricText is a value as people write it: 8.25ms, 41.75 %, 7.
func metricText(v float64, unit string) string {
	switch unit {
	case "s":
		return time.Duration(v * float64(time.Second)).Round(time.Microsecond).String()
	case "":
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'f', -1, 64) + " " + unit
}

// authHead is the algorithm and the key id, before the signature.
const authHead = 5

// DecodeValue decodes the value of a CATS attribute and describes it with its
// TLVs as they stand on the wire. The error is advert's.
func DecodeValue(value []byte) (Decoded, error) {
	var a advert.Attribute
	if err := advert.DecodeAttribute(value, &a); err != nil {
		return Decoded{}, err
	}
	d := Describe(&a)
	d.Length = len(value)
	for at := 0; at+3 <= len(value); {
		t := binary.BigEndian.Uint16(value[at:])
		n := int(value[at+2])
		end := at + 3 + n
		if end > len(value) {
			panic("BUG: api: a TLV that was decoded exceeds its attribute")
		}
		d.TLVs = append(d.TLVs, DecodedTLV{at, int(t), tlvName(t), n, hex.EncodeToString(value[at+3 : end])})
		if d.Auth != nil && t == advert.TypeAuth && n > authHead {
			d.Auth.SignatureHex = hex.EncodeToString(value[at+3+authHead : end])
		}
		at = end
	}
	return d, nil
}

// tlvName is the name of a sub-TLV (CATS-BGP v1, and
// draft-ietf-idr-5g-edge-service-metadata).
func tlvName(t uint16) string {
	switch t {
	case advert.TypeProfile:
		return "Profile"
	case advert.TypeInstance:
		return "Instance"
	case advert.TypeLocator:
		return "Egress-Locator"
	case advert.TypeCSID:
		return "CS-ID"
	case advert.TypeAuth:
		return "Auth"
	case advert.TypePreference:
		return "Site Preference Index"
	case advert.TypeAvailability:
		return "Site Physical Availability Index"
	case advert.TypeDelay:
		return "Service Delay Prediction"
	case advert.TypeRaw:
		return "Raw Measurement"
	case advert.TypeCapability:
		return "Service-Oriented Capability"
	case advert.TypeResource:
		return "Service-Oriented Available Resource"
	case advert.TypeASScope:
		return "AS-Scope"
	}
	return "unknown"
}
