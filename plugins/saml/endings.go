package saml

import (
	"crypto/sha256"
	"strconv"
	"sync"
	"time"
)

// endings are the sessions that have ended before their cookies do: browsers keep their cookies back where the identity provider signs
// users out in a frame or by a form. It is bounded.
type endings struct {
	size int

	mu sync.Mutex
	m  map[[sha256.Size]byte]ending
}

// ending is of all sessions of a user, or of one, that have begun before.
type ending struct{ at, until int64 } // Unix times

func newEndings(size int) *endings {
	return &endings{size: size, m: map[[sha256.Size]byte]ending{}}
}

// keyOf is that of a session; without an index, of all sessions of a user.
func keyOf(issuer, user, index string) [sha256.Size]byte {
	return sha256.Sum256([]byte(strconv.Quote(issuer) + strconv.Quote(user) + strconv.Quote(index)))
}

// add ends sessions. It reports false if no more endings can be remembered.
func (e *endings) add(issuer, user string, indexes []string, now time.Time, lifetime time.Duration) bool {
	if len(indexes) == 0 {
		indexes = []string{""}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.m)+len(indexes) > e.size {
		for k, x := range e.m {
			if x.until <= now.Unix() {
				delete(e.m, k)
			}
		}
	}
	if len(e.m)+len(indexes) > e.size {
		return false
	}
	for _, index := range indexes {
		e.m[keyOf(issuer, user, index)] = ending{now.Unix(), now.Add(lifetime).Unix() + 1}
	}
	return true
}

// has reports whether a session has ended.
func (e *endings) has(u *session, now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.m) == 0 {
		return false
	}
	for _, index := range []string{"", u.Index} {
		if x, ok := e.m[keyOf(u.Issuer, u.Name.Value, index)]; ok && u.Begun <= x.at && now.Unix() < x.until {
			return true
		}
	}
	return false
}
