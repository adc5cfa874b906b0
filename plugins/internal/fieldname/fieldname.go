// Package fieldname checks names and values of header fields that an operator wrote, so that a bad one is refused with
// the configuration and not dropped from every request.
package fieldname

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

const symbols = "!#$%&'*+-.^_`|~"

// Check says what is wrong with name as the name of an ordinary header field, which a pseudo-header is not. Case does not
// matter.
func Check(name string) error {
	switch {
	case name == "":
		return errors.New("the name of the header is empty")
	case name[0] == ':':
		return fmt.Errorf("%q is a pseudo-header", name)
	}
	for i := range len(name) {
		c := name[i] | 0x20
		if (c < 'a' || c > 'z') && (name[i] < '0' || name[i] > '9') && strings.IndexByte(symbols, name[i]) < 0 {
			return fmt.Errorf("%q is not the name of a header: %q at position %d", name, name[i], i)
		}
	}
	return nil
}

// CheckMethod says what is wrong with text as the method of a request. Methods are case-sensitive (RFC 9110, section 9.1), so
// that get is the name of another one than GET, which nobody means.
func CheckMethod(text string) error {
	if text == "" {
		return errors.New("the method is empty")
	}
	if Check(text) != nil { // both are tokens
		return fmt.Errorf("%q is not a method", text)
	}
	if upper := strings.ToUpper(text); upper != text && slices.Contains(methods, upper) {
		return fmt.Errorf("methods are case-sensitive: %q must be %q", text, upper)
	}
	return nil
}

// methods are those of RFC 9110 and RFC 5789.
var methods = []string{"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}

// ValidValue reports whether Envoy carries v as the value of a field.
func ValidValue(v string) bool {
	for i := range len(v) {
		if c := v[i]; c == 0 || c == '\r' || c == '\n' {
			return false
		}
	}
	return true
}
