package soak

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/conformance"
	"mosn.io/moe/e2e/dynmod"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/e2e/extproc"
	"mosn.io/moe/e2e/golang"
)

// `make soak` has all hosts on all Envoys for minutes. By default, they run on the first Envoy for some seconds.
var (
	soakTime  = flag.Duration("soak.duration", 10*time.Second, "how long each host is soaked on each Envoy")
	soakAll   = flag.Bool("soak.all", false, "soak every host on every Envoy, not only on the first")
	soakSeed  = flag.Uint64("soak.seed", 1, "of what clients do")
	soakCount = flag.Int("soak.clients", 16, "clients at once")
)

const (
	controlClients = 4
	drainTime      = time.Second // of listeners, as package envoytest gives it to Envoy
)

func TestMain(t *testing.M) {
	extproc.Main()
	os.Exit(t.Run())
}

func TestSoak(t *testing.T) {
	bins, err := envoytest.Find()
	if err != nil {
		t.Fatalf("finding Envoys: %v", err)
	}
	onHosts(t, bins, conformance.Group{Name: "soak", Scenarios: []conformance.Scenario{{Name: "everything at once", Run: soak}}})
}

// onHosts runs a group on every host: on all of bins if so told, else on the first. The hosts run beside each other.
func onHosts(t *testing.T, bins []envoytest.Binary, g conformance.Group) {
	if !*soakAll {
		bins = bins[:1]
	}
	external := &extproc.Host{}
	t.Cleanup(external.Close)
	for _, h := range []conformance.Host{&dynmod.Host{}, &golang.Host{}, external} {
		t.Run(h.Name(), func(t *testing.T) {
			t.Parallel()
			conformance.RunGroups(t, h, bins, func() []conformance.Group { return []conformance.Group{g} })
		})
	}
}

// TestMethods calls every method of a stream after every other one from other goroutines, in Envoy.
func TestMethods(t *testing.T) {
	bins, err := envoytest.Find()
	if err != nil {
		t.Fatalf("finding Envoys: %v", err)
	}
	all := conformance.MethodScenarios()
	onHosts(t, bins, conformance.Group{Name: "methods", Scenarios: all})
	if *soakAll {
		return
	}
	for _, bin := range bins[1:] { // the same, but for what the first Envoy has shown already: calls in the phases themselves
		t.Run(bin.Version, func(t *testing.T) {
			onHosts(t, []envoytest.Binary{bin}, conformance.Group{Name: "methods", Scenarios: all[len(all)-1:]})
		})
	}
}

// tally counts what requests of one kind have come to.
type tally struct {
	sent, wrong atomic.Int64
	mu          sync.Mutex
	first       []error
}

func (c *tally) add(err error) {
	c.sent.Add(1)
	if err == nil {
		return
	}
	c.wrong.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.first) < 5 {
		c.first = append(c.first, err)
	}
}

// soak has clients do and suffer everything while configurations change, and then looks for what is left.
func soak(b *conformance.Bed) {
	b.Sweep()
	before := b.Live()
	mark := b.HostLog().Mark()
	control := b.Listen(conformance.Listen{Chain: conformance.Chain(conformance.Probe("control",
		"request_headers", "go; set x-got ${req.x-want}", "response_headers", "set x-got ${req.x-want}"))})
	spec := conformance.Listen{RDS: true, Chain: chain(b.Host, 0)}
	reloaded := b.Listen(spec)
	addrs := []string{reloaded.Addr}
	listeners := []*conformance.Listener{control, reloaded}
	var found *discovered
	if inEnvoy(b.Host) {
		ln := b.Listen(conformance.Listen{Before: []m{startDiscovered(b, &found)}})
		addrs, listeners = append(addrs, ln.Addr), append(listeners, ln)
	}
	warm(b, addrs)

	ctx, cancel := context.WithTimeout(context.Background(), *soakTime)
	defer cancel()
	var wg sync.WaitGroup
	var controls, requests, cut tally
	var reloads conformance.Reloads
	for i := range controlClients {
		wg.Go(func() { controlGroup(ctx, control.Addr, i, &controls) })
	}
	for i := range *soakCount {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), *soakSeed))
			all := forHost(b.Host)
			for ctx.Err() == nil {
				at := r.IntN(len(addrs))
				d := all[r.IntN(len(all))]
				err, left := once(addrs[at], &d, r)
				if err != nil && !left && at == 0 && reloads.Closed(time.Now(), 3*drainTime) {
					cut.add(err)
				} else if !left {
					requests.add(err)
				}
			}
		})
	}
	memory := watchMemory(b)
	reload(ctx, b, &spec, reloaded, found, &reloads)
	wg.Wait()
	memory.stop()

	if err := b.Envoy.Alive(); err != nil {
		b.Fatalf("Envoy has not lived through it: %v", err)
	}
	report(b, "control group", &controls, 0)
	report(b, "requests", &requests, 0)
	few := 2 + requests.sent.Load()/20
	if *soakTime < time.Minute { // a busy machine has few requests then, and each end of a listener may cut every client's
		few = max(few, int64(*soakCount*reloads.Count()))
	}
	report(b, "requests cut off as an old listener was closed", &cut, few)
	if controls.sent.Load() == 0 || requests.sent.Load() == 0 {
		b.Errorf("got %d requests of the control group and %d others, want some of each", controls.sent.Load(), requests.sent.Load())
	}
	memory.check(b)
	if b.Failed() {
		connections(b)
	}
	client.CloseIdle()
	conformance.CompletedAll(b, before)
	for _, ln := range listeners {
		ln.Remove()
	}
	b.Sweep() // all configurations are closed
	leftovers(b, before)
	unexpectedErrors(b, mark)
}

func report(b *conformance.Bed, what string, c *tally, allowed int64) {
	b.Logf("%s: %d, wrong: %d", what, c.sent.Load(), c.wrong.Load())
	if n := c.wrong.Load(); n > allowed {
		b.Errorf("%s: %d of %d ended as neither a client nor a plugin asked, at most %d may; the first: %v",
			what, n, c.sent.Load(), allowed, errors.Join(c.first...))
	}
}

// connections shows what Envoy counts of connections that ended before their time.
func connections(b *conformance.Bed) {
	all, err := b.Envoy.Stats(`^http\.|^http[12]\.|^listener\..*(overflow|destroy|drain)`)
	if err != nil {
		b.Logf("Envoy's counters: %v", err)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if n := all[name]; n > 0 && !strings.HasPrefix(name, "http.admin") {
			b.Logf("%s: %d", name, n)
		}
	}
}

// inEnvoy reports whether a host's plugins run in Envoy's own process.
func inEnvoy(h conformance.Host) bool { return h.Name() != "extproc" }

// controlGroup sends requests that nothing happens to. Each must be answered.
func controlGroup(ctx context.Context, addr string, i int, c *tally) {
	for n := 0; ctx.Err() == nil; n++ {
		want := fmt.Sprintf("%d-%d", i, n)
		r, err := client.Do(addr, client.Request{Path: "/body/" + want, H2: i%2 == 0, Header: []string{"x-want", want, "x-id", "control"}})
		if err == nil {
			err = r.Err
		}
		if err == nil && (r.Status != 200 || r.Body != want || r.Header.Get("x-got") != want) {
			err = fmt.Errorf("got status %d, x-got %q, body %.200q; want 200 and %q twice", r.Status, r.Header.Get("x-got"), r.Body, want)
		}
		c.add(err)
		time.Sleep(time.Millisecond)
	}
}

// once does a deed once. The client may leave before its end, on its own, or with the connection.
func once(addr string, d *deed, r *rand.Rand) (err error, left bool) {
	if r.IntN(50) == 0 {
		abort(addr, r)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	left = r.IntN(4) == 0 || d.name == "wait" && r.IntN(8) > 0
	if left {
		time.AfterFunc(time.Duration(r.IntN(20_000))*time.Microsecond, cancel)
	}
	return d.send(addr, r, client.Request{Context: ctx, H2: r.IntN(2) == 0}), left
}

// abort resets a connection in the midst of a request.
func abort(addr string, r *rand.Rand) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	fmt.Fprint(c, "POST /mirror HTTP/1.1\r\nhost: x\r\nx-id: soak\r\ncontent-length: 1000\r\n\r\nsome")
	time.Sleep(time.Duration(r.IntN(5000)) * time.Microsecond)
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// warm does every deed once, so that what is made once is there.
func warm(b *conformance.Bed, addrs []string) {
	r := rand.New(rand.NewPCG(0, *soakSeed))
	var wg sync.WaitGroup
	for _, d := range forHost(b.Host) {
		wg.Go(func() {
			if err := d.send(addrs[0], r, client.Request{}); err != nil {
				b.Errorf("before anything else happens: %v", err)
			}
		})
		wg.Wait()
	}
}

// leftovers fails the soak for what is still there when everything is over.
func leftovers(b *conformance.Bed, before map[string]int64) {
	for _, name := range []string{"goroutines", "waiting", "readers"} {
		b.Poll(func() error {
			if got := b.Live()[name]; got != before[name] {
				return fmt.Errorf("%s: got %d, want %d as before", name, got, before[name])
			}
			return nil
		})
	}
	const slack = 20 // of the runtime, and of whatever asks for the counts
	b.Poll(func() error {
		now := b.Live()
		if got, want := now["goroutines_all"], before["goroutines_all"]; got > want+slack {
			time.Sleep(time.Second)
			return fmt.Errorf("all goroutines: got %d, want about %d as before", got, want)
		}
		if now["twice"] != 0 {
			return envoytest.Final(fmt.Errorf("%d streams completed more than once", now["twice"]))
		}
		return nil
	})
	if h, ok := b.Host.(interface {
		Leaks(e *envoytest.Envoy) error
	}); ok {
		client.CloseIdle()
		b.Poll(func() error { return h.Leaks(b.Envoy) })
	}
}

var (
	errorLine = regexp.MustCompile(`(?m)^.*(\]\[(error|critical)\]\[|level=ERROR).*$`)
	caused    = regexp.MustCompile(`soak panic|pipe-panic|nonsense|onfiguration rejected|update (rejected|failed)|lds\.json|moe\.json|` +
		`Failed to initialize|refused plugin_config|adding listener|misuse|does not answer within|context canceled`)
)

// unexpectedErrors fails the soak for errors in the log that no plugin, client or bad configuration has caused.
func unexpectedErrors(b *conformance.Bed, mark int) {
	n := 0
	for _, line := range errorLine.FindAllString(b.HostLog().Since(mark), -1) {
		if caused.MatchString(line) {
			continue
		}
		if n++; n <= 5 {
			b.Errorf("an error that nobody has caused: %.1500s", line)
		}
	}
	if n > 5 {
		b.Errorf("%d errors that nobody has caused, in all", n)
	}
}
