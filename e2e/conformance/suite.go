package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/framework/filter"
)

// Scenario is one thing that a host must do.
type Scenario struct {
	Name  string
	Needs filter.Capability // hosts that lack it are not asked
	Lacks filter.Capability // nor are hosts that have it
	// Neutral scenarios hold without the filter too, such as one about a plugin that does nothing. All others must
	// fail without it.
	Neutral bool
	Run     func(b *Bed)
}

// Group is scenarios that share an Envoy process, one after the other.
type Group struct {
	Name      string
	Scenarios []Scenario
}

// Groups returns the suite.
func Groups() []Group {
	return []Group{
		{"headers", headerScenarios()},
		{"constants", constantScenarios()},
		{"body", bodyScenarios()},
		{"pipe", pipeScenarios()},
		{"reply", replyScenarios()},
		{"async", asyncScenarios()},
		{"lives", lifeScenarios()},
		{"panic", panicScenarios()},
		{"config", configScenarios()},
		{"bad input", badInputScenarios()},
		{"state", stateScenarios()},
		{"metrics", measureScenarios()},
		{"debug", debugScenarios()},
		{"logs", logScenarios()},
		{"secret", secretScenarios()},
		{"callout", calloutScenarios()},
		{"interop", interopScenarios()},
		{"plugins", pluginScenarios()},
		{"stress", stressScenarios()},
	}
}

// patience is how long a scenario waits for what must come; $E2E_PATIENCE overrides it while one works on a failure.
var patience = func() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("E2E_PATIENCE")); err == nil {
		return d
	}
	return 15 * time.Second
}()

// Run runs the suite over h on each Envoy of the matrix, and prints a table at the end.
func Run(t *testing.T, h Host) {
	bins, err := envoytest.Find()
	if err != nil {
		t.Fatalf("envoytest.Find: %v", err)
	}
	RunGroups(t, h, bins, Groups)
}

// RunGroups runs scenarios that are not the suite's as it would. It asks for them anew for each Envoy, as a request may be
// used up by sending it.
func RunGroups(t *testing.T, h Host, bins []envoytest.Binary, groups func() []Group) {
	h.Build(t)
	client.Timeout = 2 * patience
	table := &table{host: h.Name(), groups: groups(), cells: map[string]map[string]*cell{}}
	t.Cleanup(table.print)
	for _, bin := range bins {
		for _, g := range groups() {
			t.Run(bin.Version+"/"+g.Name, func(t *testing.T) {
				t.Parallel()
				g.run(t, h, bin, table)
			})
		}
	}
}

// Newest is the Envoy on which scenarios run that are alike on all versions, unless $ENVOY or $ENVOY_VERSIONS says
// otherwise.
const Newest = "1.40.0"

// RunNewest is RunGroups on Newest, or on all Envoys that are there if that is not.
func RunNewest(t *testing.T, h Host, groups func() []Group) {
	bins, err := envoytest.Find()
	if err != nil {
		t.Fatalf("envoytest.Find: %v", err)
	}
	if at := slices.IndexFunc(bins, func(b envoytest.Binary) bool { return b.Version == Newest }); at >= 0 &&
		os.Getenv("ENVOY_VERSIONS") == "" {
		bins = bins[at : at+1]
	}
	RunGroups(t, h, bins, groups)
}

func (g Group) run(t *testing.T, h Host, bin envoytest.Binary, table *table) {
	s := startStation(t, h, bin, workDir(t))
	defer func() { s.stop(t) }()
	for _, sc := range g.Scenarios {
		if sc.Needs&^h.Capabilities() != 0 || sc.Lacks&h.Capabilities() != 0 {
			table.count(bin.Version, g.Name, "n/a")
			continue
		}
		if why := h.Limit(bin.Version, sc.Name); why != "" {
			t.Logf("%s: a limit of Envoy %s: %s", sc.Name, bin.Version, why)
			table.count(bin.Version, g.Name, "limit")
			continue
		}
		if s.Envoy.Alive() != nil { // the scenario before has failed for it; this one has its own chance
			s = startStation(t, h, bin, workDir(t))
		}
		ok := t.Run(sc.Name, func(t *testing.T) {
			b := &Bed{TB: t, station: s, Patience: patience, mark: s.hostMark()}
			defer b.finish()
			sc.Run(b)
		})
		table.count(bin.Version, g.Name, map[bool]string{true: "pass", false: "FAIL"}[ok])
	}
}

func (s *station) hostMark() int { return s.Host.Log(s.Envoy).Mark() }

// wrongs match log lines that no plugin may cause, whatever it does: about a panic outside of plugins, and about a call
// that Envoy considers a bug.
var wrongs = regexp.MustCompile(`(?m)^.*(framework panic|envoy bug failure).*$`)

// finish fails a scenario in which Envoy has died or the framework went wrong, and shows the log if the scenario failed.
func (b *Bed) finish() {
	if err := b.Envoy.Alive(); err != nil {
		b.Errorf("b.Envoy.Alive: %v", err)
	}
	if line := wrongs.FindString(b.HostLog().Since(b.mark)); line != "" {
		b.Errorf("the framework went wrong: %s", line)
	}
	if b.Failed() {
		b.Logf("the log of the host during this scenario:\n%s", envoytest.Tail(b.HostLog().Since(b.mark), 60))
	}
}

// workDir makes a folder that is kept when the test fails, under $E2E_DIR if that is set.
func workDir(t *testing.T) string {
	root := os.Getenv("E2E_DIR")
	if root == "" {
		return t.TempDir()
	}
	clean := regexp.MustCompile(`[^A-Za-z0-9.]+`).ReplaceAllString(t.Name(), "-")
	dir := filepath.Join(root, clean)
	for i := 1; ; i++ {
		err := os.MkdirAll(root, 0o755)
		if err == nil {
			err = os.Mkdir(dir, 0o755)
		}
		if err == nil {
			return dir
		}
		if i > 1000 {
			t.Fatalf("i = %d, want at most 1000: %v", i, err)
		}
		dir = fmt.Sprintf("%s.%d", filepath.Join(root, clean), i)
	}
}

// table counts outcomes by Envoy version and group.
type table struct {
	host   string
	groups []Group
	mu     sync.Mutex
	cells  map[string]map[string]*cell
}

type cell map[string]int

func (t *table) count(version, group, outcome string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cells[version] == nil {
		t.cells[version] = map[string]*cell{}
	}
	if t.cells[version][group] == nil {
		t.cells[version][group] = &cell{}
	}
	(*t.cells[version][group])[outcome]++
}

func (t *table) print() {
	t.mu.Lock()
	defer t.mu.Unlock()
	var versions []string
	for v := range t.cells {
		versions = append(versions, v)
	}
	slices.Sort(versions)
	fmt.Printf("\n%-14s", t.host)
	for _, v := range versions {
		fmt.Printf("%-26s", "Envoy "+v)
	}
	fmt.Println()
	for _, g := range t.groups {
		fmt.Printf("%-14s", g.Name)
		for _, v := range versions {
			var s []string
			if c := t.cells[v][g.Name]; c != nil {
				for _, o := range []string{"pass", "FAIL", "limit", "n/a"} {
					if n := (*c)[o]; n > 0 {
						s = append(s, fmt.Sprintf("%d %s", n, o))
					}
				}
			}
			fmt.Printf("%-26s", strings.Join(s, ", "))
		}
		fmt.Println()
	}
}
