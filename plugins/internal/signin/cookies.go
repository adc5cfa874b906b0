package signin

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
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

// Attributes is how cookies are set, in the configuration of a plugin.
type Attributes struct {
	// Domain shares the session with the hosts of a domain. It does not go with the prefix __Host-.
	Domain string `json:"domain"`
	// SameSite is the session's attribute. With strict, a link from another site signs in anew, without the user
	// noticing more than a redirect.
	SameSite string `json:"sameSite" default:"lax" enum:"strict,lax,none"`
	// Insecure leaves the attribute secure away, for plain http.
	Insecure bool `json:"insecure"`
}

// Check says what is wrong with the attributes of cookies with a name.
func (a *Attributes) Check(name string) error {
	host := strings.HasPrefix(name, "__Host-")
	switch {
	case name == "" || strings.ContainsAny(name, "=;, \t\"") || len(name) > 100:
		return errors.New("cookie.name: is not the name of a cookie")
	case a.Insecure && (host || strings.HasPrefix(name, "__Secure-")):
		return errors.New("cookie.insecure: browsers take a cookie with the prefix __Host- or __Secure- over https only; " +
			"choose another cookie.name")
	case a.Domain != "" && host:
		return errors.New("cookie.domain: browsers take no cookie with the prefix __Host- for a domain")
	case strings.ContainsAny(a.Domain, "; ,\t"):
		return errors.New("cookie.domain: is not a domain")
	case a.Insecure && a.SameSite == "none":
		return errors.New("cookie.sameSite: browsers take none over https only")
	}
	return nil
}

// Cookies are those of a plugin: the session's, whole or in pieces, and one for each sign-in that is under way.
type Cookies struct {
	// Name is that of the session's cookie; the others begin with it.
	Name string
	Attributes
	// StatesArePosted is whether sign-ins end in a form that a page of the provider posts, with which browsers only send cookies
	// whose attribute sameSite is none. Over plain http they take no such cookie, and one without the attribute for two minutes.
	StatesArePosted bool
}

// ReadsCredentials is where the plugin's cookies are.
func (c *Cookies) ReadsCredentials() filter.CredentialPlaces {
	return filter.CredentialPlaces{Cookies: []string{c.Name + "*"}}
}

// Jar is what a request has of a plugin's cookies.
type Jar struct {
	// Session is the session's text.
	Session string
	pieces  int               // of the session, as far as they were set
	states  map[string]string // by the end of their names
}

// State is the text of the sign-in that has a state.
func (j *Jar) State(state string) string { return j.states[stateKey(state)] }

// stateKey ends the name of a sign-in's cookie, so that each tab of a browser may sign in.
func stateKey(state string) string {
	sum := sha256.Sum256([]byte(state))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

// Read reads the cookies of a request. Of two with one name the first counts.
func (c *Cookies) Read(h filter.RequestHeaders) Jar {
	var j Jar
	if !h.Has("cookie") {
		return j
	}
	var whole string
	var have bool
	var pieces [maxChunks]string
	for _, line := range h.Values("cookie") {
		place.EachCookie(line, func(name, value string) {
			rest, ours := strings.CutPrefix(name, c.Name)
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
	if j.Session = whole; !have {
		j.Session = strings.Join(pieces[:j.pieces], "")
	}
	return j
}

// Hide takes the plugin's cookies off what the upstream sees.
func (c *Cookies) Hide(h filter.RequestHeaders) {
	place.TakeCookies(h, func(name string) bool {
		rest, ours := strings.CutPrefix(name, c.Name)
		return ours && (rest == "" || rest[0] == '.' || strings.HasPrefix(rest, statePart))
	})
}

func (c *Cookies) cookie(name, value string, life time.Duration) *http.Cookie {
	k := &http.Cookie{
		Name: name, Value: value, Path: "/", Domain: c.Domain, MaxAge: int(life / time.Second), HttpOnly: true,
		Secure: !c.Insecure,
	}
	switch c.SameSite {
	case "strict":
		k.SameSite = http.SameSiteStrictMode
	case "none":
		k.SameSite = http.SameSiteNoneMode
	default:
		k.SameSite = http.SameSiteLaxMode
	}
	if life <= 0 {
		k.MaxAge = -1
	}
	return k
}

// Session returns the cookies that set a session, in one or in pieces, and remove what the browser has of an older one.
func (c *Cookies) Session(text string, had Jar, life time.Duration) []*http.Cookie {
	var out []*http.Cookie
	n := 0
	if len(text) <= chunkSize {
		out = append(out, c.cookie(c.Name, text, life))
	} else {
		if had.Session != "" && had.pieces == 0 {
			out = append(out, c.cookie(c.Name, "", 0))
		}
		for ; len(text) > 0; n++ {
			piece := text[:min(len(text), chunkSize)]
			text = text[len(piece):]
			out = append(out, c.cookie(c.Name+"."+strconv.Itoa(n), piece, life))
		}
	}
	for ; n < had.pieces; n++ {
		out = append(out, c.cookie(c.Name+"."+strconv.Itoa(n), "", 0))
	}
	return out
}

// NoSession returns the cookies that remove a session.
func (c *Cookies) NoSession(had Jar) []*http.Cookie {
	if had.Session == "" {
		return nil
	}
	out := []*http.Cookie{c.cookie(c.Name, "", 0)}
	for i := range had.pieces {
		out = append(out, c.cookie(c.Name+"."+strconv.Itoa(i), "", 0))
	}
	return out
}

// Begun returns the cookies of a sign-in that begins: text is kept under state for life. A browser that has begun too many forgets
// the others.
func (c *Cookies) Begun(state, text string, had Jar, life time.Duration) []*http.Cookie {
	out := []*http.Cookie{c.state(stateKey(state), text, life)}
	if len(had.states) >= maxStates {
		for key := range had.states {
			out = append(out, c.state(key, "", 0))
		}
	}
	return out
}

// Ended returns the cookie that removes a sign-in, which is good once.
func (c *Cookies) Ended(state string) *http.Cookie { return c.state(stateKey(state), "", 0) }

// state holds what was begun. The provider's answer comes from another site: strict would keep it back.
func (c *Cookies) state(key, value string, life time.Duration) *http.Cookie {
	k := c.cookie(c.Name+statePart+key, value, life)
	switch {
	case c.StatesArePosted && c.Insecure:
		k.SameSite = 0
	case c.StatesArePosted:
		k.SameSite = http.SameSiteNoneMode
	case k.SameSite == http.SameSiteStrictMode:
		k.SameSite = http.SameSiteLaxMode
	}
	return k
}
