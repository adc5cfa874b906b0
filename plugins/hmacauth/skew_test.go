package hmacauth

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"
)

// TestDistantDates: neither a date centuries ahead nor one centuries ago is within maxSkew, in either form of signature.
func TestDistantDates(t *testing.T) {
	now := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, date := range []time.Time{
		time.Date(2400, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		time.Date(1700, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC),
		now.Add(1<<63 - 1),
		now.Add(-1 << 63),
	} {
		t.Run(date.Format(awsTime), func(t *testing.T) {
			h := load(t, plugin(func() time.Time { return now }))
			r := newReq("GET", "example.com", "/a", "")
			signAWS(t, r, nil, date, "", "")
			for i := range 2 {
				if got := h.Do(r); got.Status != 401 || got.Details != "moe.hmacauth.skewed" {
					t.Errorf("aws4, request %d: got %d %s, want 401 moe.hmacauth.skewed", i, got.Status, got.Details)
				}
			}
			if date.Unix() < 0 {
				return // created has no sign
			}
			r = newReq("GET", "example.com", "/a", "")
			sign(r, "s3cret", line, fmt.Sprintf(`;created=%d;keyid="tom"`, date.Unix()))
			if got := h.Do(r); got.Status != 401 || got.Details != "moe.hmacauth.skewed" {
				t.Errorf("rfc9421: got %d %s, want 401 moe.hmacauth.skewed", got.Status, got.Details)
			}
		})
	}
}

// FuzzWithin compares with arithmetic that knows no largest number.
func FuzzWithin(f *testing.F) {
	check := func(t *testing.T, at, now, skew int64) {
		t.Helper()
		// The seconds of all times that a signature can be written with, and more.
		at, now = at%(1<<53), now%(1<<53)
		d := time.Duration(skew % int64(24*time.Hour)).Abs()
		difference := new(big.Int).Mul(big.NewInt(at-now), big.NewInt(int64(time.Second)))
		want := difference.CmpAbs(big.NewInt(int64(d))) <= 0
		if got := within(time.Unix(at, 0), time.Unix(now, 0), d); got != want {
			t.Errorf("within(%d s, %d s, %v): got %v, want %v", at, now, d, got, want)
		}
	}
	for range 200 {
		now := rand.Int64N(1 << 33)
		f.Add(now+rand.Int64N(1<<uint(1+rand.IntN(62)))-rand.Int64N(1<<20), now, int64(time.Minute))
	}
	f.Add(int64(1_700_000_000_000), int64(1_700_000_000), int64(time.Minute))
	f.Fuzz(check)
}
