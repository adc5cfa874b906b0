package basicauth

import (
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/GehirnInc/crypt"
	_ "github.com/GehirnInc/crypt/apr1_crypt"   // $apr1$, htpasswd's own
	_ "github.com/GehirnInc/crypt/sha256_crypt" // $5$
	_ "github.com/GehirnInc/crypt/sha512_crypt" // $6$
)

// shaPrefix is how Envoy's own basic_auth and htpasswd -s write an unsalted SHA-1.
const shaPrefix = "{SHA}"

// shaHash is {SHA} and base64.
type shaHash [sha1.Size]byte

func parseSHA(s string) (password, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(s[len(shaPrefix):])
	if err != nil || len(b) != sha1.Size {
		return nil, errors.New("the hash by {SHA} is malformed")
	}
	return shaHash(b), nil
}

func (p shaHash) matches(given string) bool {
	sum := sha1.Sum([]byte(given))
	return subtle.ConstantTimeCompare(p[:], sum[:]) == 1
}

func (shaHash) slow() bool   { return false }
func (shaHash) text() string { return "" } // it is not remembered

// cryptHash is $5$, $6$ or $apr1$, with a salt.
type cryptHash string

// maxRounds is how many rounds $5$ and $6$ may have: 5,000 is what they have if they do not say.
const maxRounds = 200_000

func parseCrypt(s string) (password, error) {
	parts := strings.Split(s, "$") // "", the kind, rounds= or the salt, …
	malformed := fmt.Errorf("the hash by crypt ($%s$) is malformed", parts[1])
	if rounds, ok := strings.CutPrefix(parts[2], "rounds="); ok && parts[1] != "apr1" {
		n, err := strconv.Atoi(rounds)
		if err != nil || strconv.Itoa(n) != rounds || n < 1000 {
			return nil, malformed
		}
		if n > maxRounds {
			return nil, fmt.Errorf("the hash by crypt has %d rounds; %d is the most", n, maxRounds)
		}
		parts = append(parts[:2], parts[3:]...)
	}
	sum := map[string]int{"apr1": 22, "5": 43, "6": 86}[parts[1]]
	if len(parts) != 4 || parts[2] == "" || len(parts[2]) > 16 || len(parts[3]) != sum || sum == 0 {
		return nil, malformed
	}
	return cryptHash(s), nil
}

func (p cryptHash) matches(given string) bool {
	return crypt.NewFromHash(string(p)).Verify(string(p), []byte(given)) == nil
}

func (cryptHash) slow() bool     { return true }
func (p cryptHash) text() string { return string(p) }
