package netmetric

import "time"

// A timestamp is 64 bits as they stand in a packet: seconds in the upper half,
// in the lower a binary fraction (NTP, RFC 5905 section 6) or nanoseconds
// (truncated PTP, RFC 8877 section 4.3).
type timestamp uint64

// ntpEpoch is 1970 in NTP seconds (since 1900).
const ntpEpoch = 2208988800

// ntpTime is t in NTP format. The era is lost (the next begins in 2036), which
// differences do not mind.
func ntpTime(t time.Time) timestamp {
	seconds := uint64(t.Unix() + ntpEpoch)
	fraction := (uint64(t.Nanosecond())<<32 + 5e8) / 1e9
	return timestamp(seconds<<32 + fraction)
}

// since is t-u for two timestamps of one clock, less than 68 years apart.
func (t timestamp) since(u timestamp, ptp bool) time.Duration {
	if ptp {
		seconds := int32(uint32(t>>32) - uint32(u>>32))
		return time.Duration(seconds)*time.Second + time.Duration(uint32(t)) - time.Duration(uint32(u))
	}
	d := int64(t - u)
	// The halves separately: the product of a whole one with 1e9 overflows.
	return time.Duration(d>>32)*time.Second + time.Duration((d&0xffffffff)*1e9+1<<31)>>32
}
