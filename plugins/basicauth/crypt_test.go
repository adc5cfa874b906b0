package basicauth

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mosn.io/moe/framework/filtertest"
)

// The hashes are openssl's, of "wonderland" with the salt "saltsalt".
const (
	apr1   = "$apr1$saltsalt$WoESZIlCyPaOHxFHP.vy51"
	crypt5 = "$5$saltsalt$IeaomH1t0t79ShF5t59ZywXLL/dm2jA/3vpoR6EMo74"
	crypt6 = "$6$saltsalt$pqxtaP8VN9msji06dnBCbUbaSGTOXyo9jZDqZxik1rPexoqRIW4UKuiD0ZHZchCSd7S4/HoRU8bcFbnz2ihUr."
	sha    = "{SHA}tiY7sUhYKUwI5L3866kDY+ENcrQ="
)

func TestHashesOfOthers(t *testing.T) {
	for name, hash := range map[string]string{
		"apr1": apr1, "SHA-256": crypt5, "SHA-512": crypt6, "SHA-1": sha, "with a comment": apr1 + ":of 2019:by bob",
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "htpasswd")
			if err := os.WriteFile(file, []byte("al:"+hash+"\n"), 0o600); err != nil {
				t.Fatalf("os.WriteFile: %v", err)
			}
			h := must(t, `{users: `+file+`}`)
			for password, want := range map[string]int{"wonderland": 200, "wonderlanD": 401, "wonderlan": 401, hash: 401} {
				t.Run(password, func(t *testing.T) {
					for range 2 { // the second time from the cache, where there is one
						if r := h.Get("/", "authorization", basic("al:"+password)); r.Status != want {
							t.Errorf("got %d, want %d", r.Status, want)
						}
					}
				})
			}
		})
	}
}

func TestHashesThatAreRefused(t *testing.T) {
	for _, c := range []struct{ name, hash, want string }{
		{"MD5 of old", "$1$saltsalt$rMIqYVCXYNdPxX2s/bKpR0", "expected a hash"},
		{"DES", "ab0123456789.", "expected a hash"},
		{"plain text", "wonderland", "expected a hash"},
		{"SHA-1 that is short", "{SHA}tiY7sUhY", "malformed"},
		{"apr1 without a sum", "$apr1$saltsalt$", "malformed"},
		{"apr1 with rounds", "$apr1$rounds=5000$saltsalt$WoESZIlCyPaOHxFHP.vy51", "malformed"},
		{"SHA-256 that is short", crypt5[:40], "malformed"},
		{"SHA-512 without a salt", strings.Replace(crypt6, "saltsalt", "", 1), "malformed"},
		{"SHA-512 that would run for ever", strings.Replace(crypt6, "$6$", "$6$rounds=999999999$", 1), "200000 is the most"},
		{"SHA-512 with rounds that are not a number", strings.Replace(crypt6, "$6$", "$6$rounds=x$", 1), "malformed"},
		{"a kind alone", "$6$", "malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "htpasswd")
			if err := os.WriteFile(file, []byte("al:"+c.hash+"\n"), 0o600); err != nil {
				t.Fatalf("os.WriteFile: %v", err)
			}
			err := (&filtertest.Host{}).Load(t, filtertest.Config{Name: "basicauth", JSON: `{users: ` + file + `}`})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "saltsalt") {
				t.Errorf("got error %v, want one with %q that does not quote the hash", err, c.want)
			}
		})
	}
}
