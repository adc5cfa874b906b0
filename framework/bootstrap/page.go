package bootstrap

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"mosn.io/moe/framework/internal/guard"
)

// Page is a page of Envoy's admin interface.
type Page struct {
	// Path is the whole path of the page, such as /moe; what comes behind it needs a page of its own. It is made of letters,
	// digits, "_", "-", "." and "/".
	Path string
	// Help says in a line what the page is for, in Envoy's list of pages.
	Help string
	// Changes says that the page changes something: then Envoy takes POST alone. Otherwise it takes GET and HEAD.
	Changes bool
	// Handler answers. It runs on a goroutine of its own while Envoy's main thread waits, for [PageTimeout] at most: then the
	// client gets 503. Envoy says text/plain of every page, and gives its headers: those that a handler sets have no effect. A
	// page longer than [MaxPage] is answered with 500.
	Handler http.Handler
}

// Bounds of pages.
const (
	PageTimeout = time.Second
	MaxPage     = 1 << 20 // bytes
)

// askTime is how long an extension may take to say what pages it has, while Envoy starts.
const askTime = 10 * time.Second

var pagePath = regexp.MustCompile(`^(/[A-Za-z0-9_.-]+)+$`)

// askPages asks the extension for its pages.
func (x *Instance) askPages() error {
	p, ok := x.config.(AdminPager)
	if !ok {
		return nil
	}
	pages, fault := guard.Await(askTime, nil, p.AdminPages)
	if fault != nil {
		x.report("AdminPages", fault)
		return errors.New("AdminPages does not return; the log has the reason")
	}
	x.pages = map[string]*Page{}
	for i := range pages {
		p := &pages[i]
		switch {
		case !pagePath.MatchString(p.Path):
			return fmt.Errorf("AdminPages[%d]: %q is not the path of a page, such as /mine", i, p.Path)
		case p.Handler == nil:
			return fmt.Errorf("AdminPages[%d]: %s has no Handler", i, p.Path)
		case x.pages[p.Path] != nil:
			return fmt.Errorf("AdminPages[%d]: %s is there already", i, p.Path)
		}
		x.pages[p.Path] = p
		x.order = append(x.order, p)
	}
	return nil
}

// Page answers a request to Envoy's admin interface.
func (x *Instance) Page(method, target string, body []byte) (status int, text []byte) {
	r, err := http.NewRequestWithContext(x.ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return http.StatusBadRequest, []byte("the request cannot be read\n")
	}
	p := x.pages[r.URL.Path]
	switch {
	case p == nil:
		return http.StatusNotFound, []byte("no such page\n")
	case !p.Changes && method != http.MethodGet && method != http.MethodHead:
		return http.StatusMethodNotAllowed, []byte("GET and HEAD alone\n")
	}
	turns := x.takeTurns()
	w, fault := guard.Limited(&x.overdue, "the page", PageTimeout, turns, func() *answer {
		w := &answer{header: http.Header{}}
		p.Handler.ServeHTTP(w, r)
		return w
	})
	x.endTurns()
	if fault == nil {
		return w.whole(p)
	}
	if refused, ok := fault.Value.(*guard.Overdue); ok {
		return http.StatusServiceUnavailable, []byte(refused.Error() + "\n")
	}
	if fault.Stack == nil {
		x.report(p.Path, fault)
		return http.StatusServiceUnavailable, []byte("the page takes longer than " + PageTimeout.String() + "\n")
	}
	x.report(p.Path, fault)
	return http.StatusInternalServerError, []byte("the page panicked; the log has the stack\n")
}

// answer is an http.ResponseWriter in memory, of bounded size.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
	over   bool // there was more than fits
}

// Header is http.ResponseWriter's.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader is http.ResponseWriter's.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= 200 {
		a.status = status
	}
}

// Write is http.ResponseWriter's.
func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if a.body.Len()+len(p) > MaxPage {
		a.over = true
		return 0, errTooLong
	}
	return a.body.Write(p)
}

var errTooLong = fmt.Errorf("the page is longer than %d bytes", MaxPage)

func (a *answer) whole(p *Page) (status int, text []byte) {
	switch {
	case a.over:
		return http.StatusInternalServerError, []byte(p.Path + ": " + errTooLong.Error() + "\n")
	case a.status == 0:
		return http.StatusOK, nil
	case a.status > 599:
		return http.StatusInternalServerError, a.body.Bytes()
	}
	return a.status, a.body.Bytes()
}
