package outbound

import (
	"errors"
	"net/url"
)

// Plain is err, of an http.Client, without the address that was asked for: it may have a token in its query, and the
// configuration says it anyway.
func Plain(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		if e.Timeout() {
			return errTimeout
		}
		return e.Err
	}
	return err
}

var errTimeout = errors.New("the server did not answer in time")
