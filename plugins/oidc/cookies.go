package oidc

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/place"
)

const (
	// chunkSize and maxChunks bound a session: browsers take cookies of 4096 bytes with their name and attributes.
	chunkSize = 3600
	maxChunks = 6
	// maxStates is how many sign-ins a browser may have begun.
	maxStates = 8
	// statePart comes between the name and the end of a state's cookie.
	statePart = "-state-"
)

// jar is what a request has of our cookies.
type jar struct {
	session string
	pieces  int               // of the session, as far as they were set
	states  map[string]string // by the end of their names
}

// cookiesOf reads the cookies of a request. Of two with one name the first counts.
func (o *OIDC) cookiesOf(h filter.RequestHeaders) jar {
	var j jar
	if !h.Has("cookie") {
		return j
	}
	var whole string
	var have bool
	var pieces [maxChunks]string
	for _, line := range h.Values("cookie") {
		place.EachCookie(line, func(name, value string) {
			rest, ours := strings.CutPrefix(name, o.Cookie.Name)
			switch {
			case !ours:
			case rest == "" && !have:
				whole, have = value, true
			case strings.HasPrefix(rest, statePart) && len(j.states) < 4*maxStates:
				if j.states == nil {
					j.states = map[string]string{}
				}
				if key := rest[len(statePart):]; j.states[key] == "" {
					j.states[key] = value
				}
			case len(rest) == 2 && rest[0] == '.' && '0' <= rest[1] && rest[1] < '0'+maxChunks:
				if i := rest[1] - '0'; pieces[i] == "" {
					pieces[i] = value
				}
			}
		})
	}
	for j.pieces < maxChunks && pieces[j.pieces] != "" {
		j.pieces++
	}
	if j.session = whole; !have {
		j.session = strings.Join(pieces[:j.pieces], "")
	}
	return j
}

// hide takes our cookies off what the upstream sees.
func (o *OIDC) hide(h filter.RequestHeaders) {
	place.TakeCookies(h, func(name string) bool {
		rest, ours := strings.CutPrefix(name, o.Cookie.Name)
		return ours && (rest == "" || rest[0] == '.' || strings.HasPrefix(rest, statePart))
	})
}

func (o *OIDC) cookie(name, value string, life time.Duration) *http.Cookie {
	c := &http.Cookie{
		Name: name, Value: value, Path: "/", Domain: o.Cookie.Domain, MaxAge: int(life / time.Second), HttpOnly: true,
		Secure: !o.Cookie.Insecure, SameSite: o.site,
	}
	if life <= 0 {
		c.MaxAge = -1
	}
	return c
}

// sessionCookies set a session, in one cookie or in pieces, and remove what the browser has of an older one.
func (o *OIDC) sessionCookies(text string, had jar, life time.Duration) []*http.Cookie {
	name := o.Cookie.Name
	var out []*http.Cookie
	n := 0
	if len(text) <= chunkSize {
		out = append(out, o.cookie(name, text, life))
	} else {
		if had.session != "" && had.pieces == 0 {
			out = append(out, o.cookie(name, "", 0))
		}
		for ; len(text) > 0; n++ {
			piece := text[:min(len(text), chunkSize)]
			text = text[len(piece):]
			out = append(out, o.cookie(name+"."+strconv.Itoa(n), piece, life))
		}
	}
	for ; n < had.pieces; n++ {
		out = append(out, o.cookie(name+"."+strconv.Itoa(n), "", 0))
	}
	return out
}

// noSession removes a session.
func (o *OIDC) noSession(had jar) []*http.Cookie {
	if had.session == "" {
		return nil
	}
	out := []*http.Cookie{o.cookie(o.Cookie.Name, "", 0)}
	for i := range had.pieces {
		out = append(out, o.cookie(o.Cookie.Name+"."+strconv.Itoa(i), "", 0))
	}
	return out
}

// stateCookie holds what was begun. The provider's answer is a navigation from another site: strict would keep it back.
func (o *OIDC) stateCookie(key, value string, life time.Duration) *http.Cookie {
	c := o.cookie(o.Cookie.Name+statePart+key, value, life)
	if c.SameSite == http.SameSiteStrictMode {
		c.SameSite = http.SameSiteLaxMode
	}
	return c
}
