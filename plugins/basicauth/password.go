package basicauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// password is what a user's password is checked against.
type password interface {
	// matches takes the same time for every wrong password of one length.
	matches(given string) bool
	// slow tells that matches is made to take long.
	slow() bool
	// text changes when what is checked against does.
	text() string
}

// plainText is a password that the operator has written as it is.
type plainText [sha256.Size]byte

func (p plainText) matches(given string) bool {
	sum := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(p[:], sum[:]) == 1
}

func (plainText) slow() bool   { return false }
func (plainText) text() string { return "" } // it is not remembered

// bcryptHash is $2a$, $2b$ or $2y$, made by htpasswd -B.
type bcryptHash string

func (p bcryptHash) matches(given string) bool {
	b := []byte(given)
	return bcrypt.CompareHashAndPassword([]byte(p), b[:min(len(b), 72)]) == nil // all that bcrypt sees of a password
}

func (bcryptHash) slow() bool     { return true }
func (p bcryptHash) text() string { return string(p) }

// argon2Hash is $argon2id$v=19$m=65536,t=3,p=4$SALT$HASH, in the PHC string format.
type argon2Hash struct {
	time, memory uint32
	threads      uint8
	salt, sum    []byte
	whole        string
}

func (p *argon2Hash) matches(given string) bool {
	sum := argon2.IDKey([]byte(given), p.salt, p.time, p.memory, p.threads, uint32(len(p.sum)))
	return subtle.ConstantTimeCompare(p.sum, sum) == 1
}

func (*argon2Hash) slow() bool     { return true }
func (p *argon2Hash) text() string { return p.whole }

// Bounds of what a check may cost: a hash that asks for more would let anybody who knows a user's name stop the server.
const (
	maxBcryptCost   = 15
	maxArgon2Memory = 256 << 10 // KiB
	maxArgon2Time   = 32
)

var errHash = errors.New("expected a hash by bcrypt ($2y$…), argon2id ($argon2id$v=19$…), crypt ($5$…, $6$…, $apr1$…) or {SHA}")

// parseHash reads a hash as htpasswd files have it. The error does not quote it.
func parseHash(s string) (password, error) {
	switch {
	case strings.HasPrefix(s, "$2a$"), strings.HasPrefix(s, "$2b$"), strings.HasPrefix(s, "$2y$"):
		cost, err := bcrypt.Cost([]byte(s))
		if err != nil || len(s) != 60 {
			return nil, errors.New("the hash by bcrypt is malformed")
		}
		if cost > maxBcryptCost {
			return nil, fmt.Errorf("the cost of bcrypt is %d; %d is the most", cost, maxBcryptCost)
		}
		return bcryptHash(s), nil
	case strings.HasPrefix(s, "$argon2id$"):
		return parseArgon2(s)
	case strings.HasPrefix(s, shaPrefix):
		return parseSHA(s)
	case strings.HasPrefix(s, "$5$"), strings.HasPrefix(s, "$6$"), strings.HasPrefix(s, "$apr1$"):
		return parseCrypt(s)
	}
	return nil, errHash
}

func parseArgon2(s string) (password, error) {
	malformed := errors.New("the hash by argon2id is malformed")
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[2] != "v=19" {
		return nil, malformed
	}
	p := &argon2Hash{whole: s}
	threads := 0
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &threads); n != 3 || err != nil ||
		parts[3] != fmt.Sprintf("m=%d,t=%d,p=%d", p.memory, p.time, threads) {
		return nil, malformed
	}
	if p.time < 1 || p.time > maxArgon2Time || threads < 1 || threads > 64 || p.memory < 8*uint32(threads) ||
		p.memory > maxArgon2Memory {
		return nil, fmt.Errorf("argon2id has m of at most %d, t of 1 to %d and p of 1 to 64", maxArgon2Memory, maxArgon2Time)
	}
	p.threads = uint8(threads)
	var err1, err2 error
	p.salt, err1 = base64.RawStdEncoding.DecodeString(parts[4])
	p.sum, err2 = base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(p.salt) < 8 || len(p.sum) < 16 || len(p.sum) > 64 {
		return nil, malformed
	}
	return p, nil
}
