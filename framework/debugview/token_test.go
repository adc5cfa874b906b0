package debugview_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/framework/debugview"
)

const key = "0123456789abcdef"

var now = time.Unix(1_800_000_000, 0)

func TestVerify(t *testing.T) {
	good := debugview.Sign(key, now.Add(time.Minute))
	claim, mac := good[:strings.LastIndexByte(good, '.')], good[strings.LastIndexByte(good, '.')+1:]
	for _, c := range []struct {
		name, key, token string
		at               time.Time
		want             error
	}{
		{name: "fresh", key: key, token: good, at: now},
		{name: "a second before its end", key: key, token: good, at: now.Add(59 * time.Second)},
		{name: "at its end", key: key, token: good, at: now.Add(time.Minute), want: debugview.ErrExpired},
		{name: "for the longest time", key: key, token: debugview.Sign(key, now.Add(debugview.MaxTokenLife)), at: now},
		{
			name: "for too long", key: key, token: debugview.Sign(key, now.Add(debugview.MaxTokenLife+time.Second)), at: now,
			want: debugview.ErrExpired,
		},
		{name: "of another key", key: key + "x", token: good, at: now, want: debugview.ErrToken},
		{name: "without a key", key: "", token: debugview.Sign("", now.Add(time.Minute)), at: now, want: debugview.ErrToken},
		{name: "another expiry", key: key, token: "moe1.1800000061." + mac, at: now, want: debugview.ErrToken},
		{name: "another version", key: key, token: "moe2" + good[4:], at: now, want: debugview.ErrToken},
		{name: "padded", key: key, token: good + "=", at: now, want: debugview.ErrToken},
		{name: "other bits in the last character", key: key, token: good[:len(good)-1] + next(good[len(good)-1]), at: now, want: debugview.ErrToken},
		{name: "cut", key: key, token: good[:len(good)-4], at: now, want: debugview.ErrToken},
		{name: "no sum", key: key, token: claim + ".", at: now, want: debugview.ErrToken},
		{name: "no dots", key: key, token: "moe1", at: now, want: debugview.ErrToken},
		{name: "empty", key: key, token: "", at: now, want: debugview.ErrToken},
		{name: "long", key: key, token: strings.Repeat("a.", 1<<16), at: now, want: debugview.ErrToken},
		{name: "binary", key: key, token: "\x00\xff.\xff", at: now, want: debugview.ErrToken},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := debugview.Verify(c.key, c.token, c.at); !errors.Is(got, c.want) {
				t.Errorf("Verify(%.80q): got %v, want %v", c.token, got, c.want)
			}
		})
	}
}

// next returns another character of base64url that differs in the bits that the last one of a sum does not use.
func next(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	i := strings.IndexByte(alphabet, c)
	return alphabet[i^1 : i^1+1]
}

// Whatever a client sends, only what Sign has made passes.
func FuzzVerify(f *testing.F) {
	good := debugview.Sign(key, now.Add(time.Minute))
	f.Add(good)
	f.Add("moe1.1800000060.")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		if err := debugview.Verify(key, token, now); err == nil && token != good {
			t.Errorf("Verify takes %q, which Sign has not made", token)
		}
	})
}
