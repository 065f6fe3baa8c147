package tls13

import (
	"errors"
	"fmt"
)

// An Alert is an AlertDescription of RFC 8446, section 6: what a peer is told.
type Alert uint8

// The alert descriptions that this package sends or gives a name to.
const (
	AlertCloseNotify            Alert = 0
	AlertUnexpectedMessage      Alert = 10
	AlertBadRecordMAC           Alert = 20
	AlertRecordOverflow         Alert = 22
	AlertHandshakeFailure       Alert = 40
	AlertBadCertificate         Alert = 42
	AlertUnsupportedCertificate Alert = 43
	AlertCertificateRevoked     Alert = 44
	AlertCertificateExpired     Alert = 45
	AlertCertificateUnknown     Alert = 46
	AlertIllegalParameter       Alert = 47
	AlertUnknownCA              Alert = 48
	AlertAccessDenied           Alert = 49
	AlertDecodeError            Alert = 50
	AlertDecryptError           Alert = 51
	AlertProtocolVersion        Alert = 70
	AlertInsufficientSecurity   Alert = 71
	AlertInternalError          Alert = 80
	AlertInappropriateFallback  Alert = 86
	AlertUserCanceled           Alert = 90
	AlertMissingExtension       Alert = 109
	AlertUnsupportedExtension   Alert = 110
	AlertUnrecognizedName       Alert = 112
	AlertBadCertStatusResponse  Alert = 113
	AlertUnknownPSKIdentity     Alert = 115
	AlertCertificateRequired    Alert = 116
	AlertNoApplicationProtocol  Alert = 120
)

var alertNames = map[Alert]string{
	AlertCloseNotify:            "close notify",
	AlertUnexpectedMessage:      "unexpected message",
	AlertBadRecordMAC:           "bad record MAC",
	AlertRecordOverflow:         "record overflow",
	AlertHandshakeFailure:       "handshake failure",
	AlertBadCertificate:         "bad certificate",
	AlertUnsupportedCertificate: "unsupported certificate",
	AlertCertificateRevoked:     "certificate revoked",
	AlertCertificateExpired:     "certificate expired",
	AlertCertificateUnknown:     "certificate unknown",
	AlertIllegalParameter:       "illegal parameter",
	AlertUnknownCA:              "unknown CA",
	AlertAccessDenied:           "access denied",
	AlertDecodeError:            "decode error",
	AlertDecryptError:           "decrypt error",
	AlertProtocolVersion:        "protocol version",
	AlertInsufficientSecurity:   "insufficient security",
	AlertInternalError:          "internal error",
	AlertInappropriateFallback:  "inappropriate fallback",
	AlertUserCanceled:           "user canceled",
	AlertMissingExtension:       "missing extension",
	AlertUnsupportedExtension:   "unsupported extension",
	AlertUnrecognizedName:       "unrecognized name",
	AlertBadCertStatusResponse:  "bad certificate status response",
	AlertUnknownPSKIdentity:     "unknown PSK identity",
	AlertCertificateRequired:    "certificate required",
	AlertNoApplicationProtocol:  "no application protocol",
}

// String returns the name of RFC 8446, or "alert(N)".
func (a Alert) String() string {
	if s, ok := alertNames[a]; ok {
		return s
	}
	return fmt.Sprintf("alert(%d)", uint8(a))
}

// An Error is a failure found on this side. Alert is what the peer is told;
// Err is what the operator is told, and never travels.
type Error struct {
	Alert Alert
	Err   error
}

// Error returns the operator's half, followed by the name of the alert.
func (e *Error) Error() string { return fmt.Sprintf("tls13: %v (%v)", e.Err, e.Alert) }

// Unwrap returns the operator's half.
func (e *Error) Unwrap() error { return e.Err }

// A RemoteError is a fatal alert that the peer sent.
type RemoteError struct{ Alert Alert }

// Error says that the peer gave up, and why.
func (e *RemoteError) Error() string { return "tls13: the peer sent the alert: " + e.Alert.String() }

// fail pairs an alert with its explanation.
func fail(a Alert, format string, args ...any) error {
	return &Error{a, fmt.Errorf(format, args...)}
}

// failWith gives err to the peer as alert a, unless err already names one:
// a hook may choose the alert by returning an *Error.
func failWith(a Alert, err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{a, err}
}
