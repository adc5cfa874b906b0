package certvalidator_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/certvalidator"
	"mosn.io/moe/framework/certvalidator/certvalidatortest"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/guard"
)

// pinned accepts certificates by their sums.
type pinned struct {
	SHA256 []string `json:"sha256" validate:"required"`
}

func (p *pinned) Verify(h certvalidator.Handshake) certvalidator.Verdict {
	if sum := sha256.Sum256(h.Raw()[0]); slices.Contains(p.SHA256, hex.EncodeToString(sum[:])) {
		return certvalidator.Accept()
	}
	return certvalidator.Refuse("this certificate is not pinned")
}

func init() { certvalidator.Register[pinned]("pinned") }

func ExampleRegister() {
	// type Pinned struct {
	// 	SHA256 []string `json:"sha256" validate:"required"`
	// }
	//
	// func init() { certvalidator.Register[Pinned]("pinned") }
	//
	// func (p *Pinned) Verify(h certvalidator.Handshake) certvalidator.Verdict { … }
	fmt.Println(certvalidator.Lookup("pinned").Name)
	// Output: pinned
}

func TestConfiguration(t *testing.T) {
	sum := sha256.Sum256([]byte("good"))
	v, err := certvalidatortest.New[pinned](t, "sha256: ["+hex.EncodeToString(sum[:])+"]")
	if err != nil {
		t.Fatalf("certvalidatortest.New: %v", err)
	}
	for der, want := range map[string]bool{"good": true, "bad": false} {
		t.Run(der, func(t *testing.T) {
			got := certvalidatortest.Handshake{Certificates: [][]byte{[]byte(der)}}.Verify(t, v)
			if got.Accepted() != want || got.Validated() != want {
				t.Errorf("the verdict on %q is %+v, want accepted %v", der, got, want)
			}
		})
	}
	for name, conf := range map[string]string{"unknown field": "sha265: [a]", "wrong type": "sha256: {}", "absent": ""} {
		t.Run(name, func(t *testing.T) {
			if _, err := certvalidatortest.New[pinned](t, conf); err == nil || !strings.Contains(err.Error(), "sha2") {
				t.Errorf("certvalidatortest.New of %q: got error %v, want one that names the field", conf, err)
			}
		})
	}
}

type verifyFunc func(certvalidator.Handshake) certvalidator.Verdict

func (f verifyFunc) Verify(h certvalidator.Handshake) certvalidator.Verdict { return f(h) }

// What does not end in a verdict refuses the certificate.
func TestVerdicts(t *testing.T) {
	type result struct {
		Accepted, Validated bool
		Reason              string
		Alert               certvalidator.Alert
	}
	stand := make(chan struct{})
	t.Cleanup(func() { close(stand) })
	for _, c := range []struct {
		name   string
		verify verifyFunc
		want   result
	}{
		{
			name: "accepted", verify: func(certvalidator.Handshake) certvalidator.Verdict { return certvalidator.Accept() },
			want: result{Accepted: true, Validated: true, Alert: certvalidator.CertificateUnknown},
		},
		{
			name:   "accepted, not validated",
			verify: func(certvalidator.Handshake) certvalidator.Verdict { return certvalidator.AcceptUnvalidated() },
			want:   result{Accepted: true, Alert: certvalidator.CertificateUnknown},
		},
		{
			name: "refused",
			verify: func(certvalidator.Handshake) certvalidator.Verdict {
				return certvalidator.Refuse("too old").WithAlert(certvalidator.CertificateExpired)
			},
			want: result{Reason: "too old", Alert: certvalidator.CertificateExpired},
		},
		{
			name: "a reason with what a peer might write",
			verify: func(certvalidator.Handshake) certvalidator.Verdict {
				return certvalidator.Refuse("cn a\nb\xff\x00" + strings.Repeat("x", 600))
			},
			want: result{Reason: "cn a?b??" + strings.Repeat("x", 504), Alert: certvalidator.CertificateUnknown},
		},
		{
			name: "no verdict", verify: func(certvalidator.Handshake) (v certvalidator.Verdict) { return v },
			want: result{Reason: "the validator gave no verdict", Alert: certvalidator.CertificateUnknown},
		},
		{
			name: "a panic", verify: func(certvalidator.Handshake) certvalidator.Verdict { panic("as told") },
			want: result{Reason: "the validator panicked", Alert: certvalidator.InternalError},
		},
		{
			name: "Goexit", verify: func(certvalidator.Handshake) certvalidator.Verdict { runtime.Goexit(); return certvalidator.Accept() },
			want: result{Reason: "the validator panicked", Alert: certvalidator.InternalError},
		},
		{
			name:   "no return",
			verify: func(certvalidator.Handshake) certvalidator.Verdict { <-stand; return certvalidator.Accept() },
			want:   result{Reason: "the validator gave no verdict within 1s", Alert: certvalidator.InternalError},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := certvalidatortest.Handshake{Certificates: [][]byte{{0}}}.Verify(t, c.verify)
			got := result{v.Accepted(), v.Validated(), v.Reason(), v.Alert()}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("the verdict (-want +got):\n%s", diff)
			}
		})
	}
}

// Calls that do not return are asked for no more once there are eight; when one returns, the next certificate is decided
// about.
func TestOverdue(t *testing.T) {
	const most = 8
	internals := certvalidator.Internals(core.Internal{})
	var calls guard.Calls
	var asked atomic.Int32
	stand := make(chan struct{})
	returned := sync.OnceFunc(func() { close(stand) })
	t.Cleanup(returned)
	hangs := verifyFunc(func(certvalidator.Handshake) certvalidator.Verdict {
		asked.Add(1)
		<-stand
		return certvalidator.Accept()
	})
	verify := func(v certvalidator.Verifier) (certvalidator.Verdict, *guard.Fault) {
		return internals.Verify(v, &calls, certvalidator.Asked{Raw: [][]byte{{0}}})
	}
	faults := make(chan *guard.Fault, most)
	for range most {
		go func() {
			_, fault := verify(hangs)
			faults <- fault
		}()
	}
	told := 0
	for range most {
		if fault := <-faults; fault == nil || fault.Stack != nil {
			t.Errorf("a call that hangs gives the fault %+v, want one without a stack", fault)
		} else if strings.Contains(fmt.Sprint(fault.Value), "8 calls of the validator are overdue") {
			told++
		}
	}
	if told != 1 {
		t.Errorf("%d faults say that the validator is asked no more, want that of the last call alone", told)
	}
	for range 3 {
		v, fault := verify(hangs)
		if fault != nil || v.Accepted() || !strings.Contains(v.Reason(), "8 calls of the validator are overdue") ||
			v.Alert() != certvalidator.InternalError {
			t.Errorf("the verdict is %+v with fault %v, want a refusal that says why, and none", v, fault)
		}
	}
	if n := asked.Load(); n != most {
		t.Errorf("the validator was asked %d times, want %d", n, most)
	}
	if _, fault := internals.SessionContext(&bound{}, &calls); fault == nil {
		t.Error("SessionContext is asked, want a fault while calls are overdue")
	}
	returned()
	accepts := verifyFunc(func(certvalidator.Handshake) certvalidator.Verdict { return certvalidator.Accept() })
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		if v, _ := verify(accepts); v.Accepted() {
			break
		}
		if time.Now().After(end) {
			t.Fatal("certificates are still refused 5 s after the calls have returned")
		}
	}
	if _, fault := internals.SessionContext(&bound{}, &calls); fault != nil {
		t.Errorf("SessionContext gives the fault %+v after the calls have returned", fault)
	}
}

// bound is a validator with a context of sessions.
type bound struct{ pinned }

func (*bound) SessionContext() []byte { return []byte("context") }

// A handle tells what the peer has sent, asks the thread that waits, and finds nothing once there is a verdict.
func TestHandshake(t *testing.T) {
	state := map[string]string{"there": "before"}
	var kept certvalidator.Handshake
	v := certvalidatortest.Handshake{
		Certificates: [][]byte{{1}, {2}}, ServerName: "a.example", IsServer: true, FilterState: state,
	}.Verify(t, verifyFunc(func(h certvalidator.Handshake) certvalidator.Verdict {
		kept = h
		if err := h.SetFilterState("who", "me"); err != nil {
			t.Errorf("SetFilterState: %v", err)
		}
		if err := h.SetFilterState("there", "now"); !errors.Is(err, certvalidator.ErrFilterStateTaken) {
			t.Errorf("SetFilterState of what is there gives %v, want ErrFilterStateTaken", err)
		}
		if got, err := h.FilterState("there"); got != "before" || err != nil {
			t.Errorf("FilterState gives %q, %v; want before", got, err)
		}
		if _, err := h.FilterState("none"); !errors.Is(err, certvalidator.ErrNotFound) {
			t.Errorf("FilterState of what is not there gives %v, want ErrNotFound", err)
		}
		if _, err := h.Certificates(); err == nil || !strings.Contains(err.Error(), "certificate 1") {
			t.Errorf("Certificates gives %v, want an error that says which", err)
		}
		return certvalidator.Accept()
	}))
	if !v.Accepted() {
		t.Errorf("the verdict is %+v, want accepted", v)
	}
	if diff := cmp.Diff(map[string]string{"there": "before", "who": "me"}, state); diff != "" {
		t.Errorf("the filter state (-want +got):\n%s", diff)
	}
	if err := kept.SetFilterState("late", "x"); !errors.Is(err, certvalidator.ErrHandshakeOver) {
		t.Errorf("SetFilterState after the verdict gives %v, want ErrHandshakeOver", err)
	}
	if _, err := kept.FilterState("who"); !errors.Is(err, certvalidator.ErrHandshakeOver) {
		t.Errorf("FilterState after the verdict gives %v, want ErrHandshakeOver", err)
	}
	if diff := cmp.Diff([]any{[][]byte{{1}, {2}}, "a.example", true}, []any{kept.Raw(), kept.ServerName(), kept.IsServer()}); diff != "" {
		t.Errorf("what the peer has sent (-want +got):\n%s", diff)
	}
}

// The zero handle is that of no handshake.
func TestZeroHandshake(t *testing.T) {
	var h certvalidator.Handshake
	if _, err := h.Certificates(); !errors.Is(err, certvalidator.ErrHandshakeOver) {
		t.Errorf("Certificates gives %v, want ErrHandshakeOver", err)
	}
	if err := h.SetFilterState("a", "b"); !errors.Is(err, certvalidator.ErrHandshakeOver) {
		t.Errorf("SetFilterState gives %v, want ErrHandshakeOver", err)
	}
	if h.Raw() != nil || h.ServerName() != "" || h.IsServer() {
		t.Errorf("the zero handle tells %v, %q, %v", h.Raw(), h.ServerName(), h.IsServer())
	}
}

type (
	noVerify   struct{}
	badContext struct{ pinned }
)

func (*badContext) SessionContext() string { return "" }

func TestRegisterRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		register func()
		want     string
	}{
		"no Verify":              {func() { certvalidator.Register[noVerify]("noverify") }, "must have the method"},
		"another SessionContext": {func() { certvalidator.Register[badContext]("badcontext") }, "SessionContext must be"},
		"a name that is not":     {func() { certvalidator.Register[pinned]("Pinned") }, "may only contain"},
		"a name taken":           {func() { certvalidator.Register[pinned]("pinned") }, "duplicate"},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), c.want) {
					t.Errorf("Register panics with %v, want %q in it", v, c.want)
				}
			}()
			c.register()
		})
	}
}
