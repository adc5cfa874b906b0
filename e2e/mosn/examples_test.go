package mosn

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/e2e/upstream"
	"mosn.io/moe/internal/mosnconf"
	"mosn.io/moe/internal/testcert"
)

// Reasons for which examples of MOSN's are refused.
const (
	speaks  = "Envoy does not speak"
	codec   = "third_part_codec: has no counterpart"
	tracing = "tracing: has no counterpart"
	plugin  = "plugin: has no counterpart"
	balance = "lb_type: load balancer"
)

// examples are the configurations that MOSN's module has. Those without reasons are converted; TestExamples runs the ones
// that MOSN itself runs as they are.
var examples = map[string][]string{
	"configs/istio152/mosn_config_mirror_xds.json":                         {"dynamic_resources: has no counterpart", speaks},
	"configs/istio152/mosn_xds.json":                                       {"dynamic_resources: has no counterpart"},
	"configs/mosn_config.json":                                             nil,
	"configs/mosn_config_broadcast.json":                                   {balance},
	"configs/mosn_config_dev.json":                                         nil,
	"configs/mosn_config_mirror.json":                                      {speaks},
	"configs/mosn_config_wasm.json":                                        nil,
	"configs/mosn_rpc_config.json":                                         nil,
	"configs/mosn_rpc_config_bolt.json":                                    {"extend_config.sub_protocol: has no counterpart"},
	"configs/mosn_rpc_config_wasm.json":                                    {codec, speaks, "wasm_global_plugins: has no counterpart"},
	"configs/mosn_so.json":                                                 {"servers: has no listener"},
	"examples/codes/dsl-sample/config.json":                                nil,
	"examples/codes/dubbo/client_config.json":                              {speaks},
	"examples/codes/dubbo/server_config.json":                              {speaks},
	"examples/codes/envoy-go-extension/mosn.json":                          {"servers: has no listener"},
	"examples/codes/filter/dubbo/install/build/mosn_config_dubbo_xds.json": {"port_value: expected a number"},
	"examples/codes/filter/ipaccess/config.json":                           nil,
	"examples/codes/filter/jwtauthn/config.json":                           nil,
	"examples/codes/filter/transcoder/client_config.json":                  {speaks},
	"examples/codes/filter/transcoder/server_config.json":                  {speaks},
	"examples/codes/flowcontrol-sample/client_config.json":                 nil,
	"examples/codes/flowcontrol-sample/server_config.json":                 nil,
	"examples/codes/flowcontrol-sample/tls_client_config.json":             nil,
	"examples/codes/flowcontrol-sample/tls_server_config.json":             nil,
	"examples/codes/http-sample/client_config.json":                        nil,
	"examples/codes/http-sample/server_config.json":                        nil,
	"examples/codes/http-sample/tls_client_config.json":                    nil,
	"examples/codes/http-sample/tls_server_config.json":                    nil,
	"examples/codes/mosn-extensions/plugin/cert_loader/config.json":        {"tls_context.type: has no counterpart"},
	"examples/codes/mosn-extensions/plugin/filter/checkconf.json":          {"User: unknown field"},
	"examples/codes/mosn-extensions/plugin/filter/config.json":             nil,
	"examples/codes/mosn-extensions/plugin/so/config.json":                 {"go_plugin_config: has no counterpart"},
	"examples/codes/mosn-extensions/simple_streamfilter/config.json":       nil,
	"examples/codes/plugin/pluginfilter/config.json":                       {plugin},
	"examples/codes/protocol-auto-sample/client_config.json":               nil,
	"examples/codes/protocol-auto-sample/server_config.json":               nil,
	"examples/codes/protocol-auto-sample/tls_client_config.json":           nil,
	"examples/codes/protocol-auto-sample/tls_server_config.json":           nil,
	"examples/codes/proxy-fallback-example/config.json":                    {"fallback_for_unknown_protocol: has no counterpart"},
	"examples/codes/slow-start-sample/config.json":                         nil,
	"examples/codes/sofarpc-with-xprotocol-sample/client_config.json":      {speaks},
	"examples/codes/sofarpc-with-xprotocol-sample/server_config.json":      {speaks},
	"examples/codes/sofarpc-with-xprotocol-sample/tls_client_config.json":  {speaks},
	"examples/codes/sofarpc-with-xprotocol-sample/tls_server_config.json":  {speaks},
	"examples/codes/tcpproxy-sample/config.json":                           nil,
	"examples/codes/tproxy/tproxy_egress/config.json":                      nil,
	"examples/codes/tproxy/tproxy_ingress/config.json":                     nil,
	"examples/codes/trace/skywalking-plugin/http/config.json":              {tracing},
	"examples/codes/trace/skywalking/http/config.json":                     {tracing},
	"examples/codes/tunnel-sample/agent_config.json":                       {"extends: has no counterpart", speaks},
	"examples/codes/tunnel-sample/client_config.json":                      {speaks, "network filter \"tunnel\""},
	"examples/codes/uds-sample/client_config.json":                         {tracing},
	"examples/codes/uds-sample/server_config.json":                         {tracing},
	"examples/codes/udpproxy-sample/config.json":                           {"network: \"udp\" is not supported"},
	"examples/codes/xprotocol_with_goplugin_example/client_config.json":    {codec, speaks},
	"examples/codes/xprotocol_with_goplugin_example/server_config.json":    {codec, speaks},
}

// TestConvertExamples converts every configuration in MOSN's module, as it is. What Envoy has not is refused by name.
func TestConvertExamples(t *testing.T) {
	folder, err := mosnFolder()
	if err != nil {
		t.Fatalf("cannot find MOSN's files: %v", err)
	}
	found := slices.Concat(jsonFiles(t, folder, "configs"), jsonFiles(t, folder, "examples/codes"))
	slices.Sort(found)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(examples)), found); diff != "" {
		t.Errorf("MOSN's configurations (-named here +there):\n%s", diff)
	}
	for _, file := range found {
		t.Run(file, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(folder, file))
			if err != nil {
				t.Fatalf("cannot read it: %v", err)
			}
			_, err = mosnconf.Convert(text, nil)
			reasons := examples[file]
			if (err != nil) != (len(reasons) > 0) {
				t.Fatalf("the error is %v; want one that says %q", err, reasons)
			}
			for _, reason := range reasons {
				if !strings.Contains(err.Error(), reason) {
					t.Errorf("the error does not say %q: %v", reason, err)
				}
			}
		})
	}
}

// jsonFiles returns the configurations below a folder of MOSN's.
func jsonFiles(t *testing.T, folder, under string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(folder, under), func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".json" && !strings.Contains(path, "/grafana/") {
			found = append(found, strings.TrimPrefix(path, folder+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatalf("cannot list MOSN's files: %v", err)
	}
	return found
}

// site is examples of MOSN's that work together, each in a process of its own, with requests for the first of them.
type site struct {
	name     string
	files    []string
	port     string            // of the first one's listener
	behind   []string          // ports of what is behind the last one
	edits    map[string]string // texts of the files that name what this machine has not
	h2       bool              // HTTP/2 too
	requests []request
}

var plainRequests = []request{
	{name: "get", path: "/echo?h=x-a:1", header: []string{"x-b", "2"}},
	{name: "post", method: "POST", path: "/echo", body: "text", header: []string{"content-type", "text/plain"}},
	{name: "status", path: "/echo?status=404"},
}

func sample(folder string, parts ...string) (files []string) {
	for _, p := range parts {
		files = append(files, "examples/codes/"+folder+"/"+p+".json")
	}
	return files
}

// sites returns the examples that run. Beside them, mosn_rpc_config.json and plugin/filter have stream filters that MOSN does
// not have itself.
func sites(t testing.TB, mosn string) []site {
	// MOSN's own certificates have one key for the authority and for what it signs, which today's Go refuses.
	ca := testcert.New(t, t.TempDir())
	cert, key := ca.Issue(t, "both", "127.0.0.1")
	certs := map[string]string{"../certs/ca.pem": ca.File, "../certs/cert.pem": cert, "../certs/key.pem": key}
	return []site{
		{name: "http", files: sample("http-sample", "client_config", "server_config"), port: "2045", requests: plainRequests},
		{name: "http over TLS", files: sample("http-sample", "tls_client_config", "tls_server_config"), port: "2045", edits: certs, requests: plainRequests},
		{name: "auto", files: sample("protocol-auto-sample", "client_config", "server_config"), port: "2045", h2: true, requests: plainRequests},
		{name: "auto over TLS", files: sample("protocol-auto-sample", "tls_client_config", "tls_server_config"), port: "2045", edits: certs, h2: true, requests: plainRequests},
		{name: "flowcontrol", files: sample("flowcontrol-sample", "client_config", "server_config"), port: "2045", requests: plainRequests},
		{name: "flowcontrol over TLS", files: sample("flowcontrol-sample", "tls_client_config", "tls_server_config"), port: "2045", edits: certs, requests: plainRequests},
		{name: "ipaccess", files: sample("filter/ipaccess", "config"), port: "2046", requests: plainRequests},
		{
			name: "jwtauthn", files: sample("filter/jwtauthn", "config"), port: "2046",
			requests: append(slices.Clone(plainRequests), request{
				name: "a bad token", path: "/echo", header: []string{"authorization", "Bearer nonsense"},
			}),
		},
		{
			name: "dsl", files: sample("dsl-sample", "config"), port: "2046",
			// MOSN ignores a field that is misspelt, and MoE refuses it.
			edits: map[string]string{"send_router_by_dsl": "send_filter_by_dsl"},
			requests: mended(withoutEchoOf("Dsl", "Upstream_addr"), []request{
				{name: "its host", host: "dslhost", path: "/x"}, {name: "another host", path: "/x"},
			}),
		},
		{name: "slow start", files: sample("slow-start-sample", "config"), port: "2046", behind: []string{"8081", "8082"}, requests: plainRequests},
		{name: "tcpproxy", files: sample("tcpproxy-sample", "config"), port: "2045", h2: true, requests: plainRequests},
		{name: "a filter of one's own", files: sample("mosn-extensions/simple_streamfilter", "config"), port: "2046", requests: []request{
			{name: "passes", path: "/echo", header: []string{"user", "admin"}},
			{name: "does not", path: "/echo", header: []string{"user", "guest"}},
			{name: "says nothing", path: "/echo"},
		}},
		{name: "mosn_config.json", files: []string{"configs/mosn_config.json"}, port: "2045", requests: plainRequests},
		{name: "mosn_config_dev.json", files: []string{"configs/mosn_config_dev.json"}, port: "50051", behind: []string{"50056"}, h2: true, requests: plainRequests},
		{
			name: "mosn_config_wasm.json", files: []string{"configs/mosn_config_wasm.json"}, port: "2045",
			requests: mended(withoutEchoOf("Go-Wasm-Header"), slices.Clone(plainRequests)),
			edits:    map[string]string{`"wasmer"`: `"wazero"`, "/etc/wasm/": mosn + "/etc/wasm/"},
		},
	}
}

// withoutEchoOf takes out what MOSN's filters have set in the request, which it sends back in replies.
func withoutEchoOf(names ...string) func(o *outcome) {
	return func(o *outcome) {
		for _, name := range names {
			delete(o.Header, name)
		}
	}
}

var (
	addressRE = regexp.MustCompile(`(127\.0\.0\.1|0\.0\.0\.0):(\d+)`)
	portRE    = regexp.MustCompile(`"(port_value|port)":\s*\d+`)
)

// move writes the site's files to dir, with ports of its own, and returns the files and where they listen.
func (s site) move(mosn, dir string, up *upstream.Server) (files []string, listen map[string][]string, err error) {
	moved := map[string]string{"8080": up.Addr}
	for _, port := range s.behind {
		moved[port] = up.Addr
	}
	listen = map[string][]string{}
	for i, name := range s.files {
		text, err := os.ReadFile(filepath.Join(mosn, name))
		if err != nil {
			return nil, nil, err
		}
		for old, with := range s.edits {
			text = []byte(strings.ReplaceAll(string(text), old, with))
		}
		// A folder of its own: MOSN takes over the listeners of another whose socket is beside its configuration.
		file := filepath.Join(dir, strconv.Itoa(i), "conf", strings.ReplaceAll(name, "/", "-"))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return nil, nil, err
		}
		text = addressRE.ReplaceAllFunc(text, func(found []byte) []byte {
			port := string(addressRE.FindSubmatch(found)[2])
			if moved[port] == "" {
				moved[port], err = freeAddr()
			}
			return []byte(moved[port])
		})
		text = portRE.ReplaceAllFunc(text, func(found []byte) []byte {
			free, failed := freeAddr()
			if failed != nil {
				err = failed
			}
			_, port, _ := net.SplitHostPort(free)
			return []byte(fmt.Sprintf(`%q: %s`, portRE.FindSubmatch(found)[1], port))
		})
		if err != nil {
			return nil, nil, err
		}
		files = append(files, file)
		for _, l := range regexp.MustCompile(`"address":\s*"([^"]+:\d+)",\s*"bind_port"`).FindAllSubmatch(text, -1) {
			listen[file] = append(listen[file], string(l[1]))
		}
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return nil, nil, err
		}
	}
	listen[""] = []string{moved[s.port]}
	return files, listen, nil
}

// TestExamples runs examples of MOSN's in MOSN and by moe mosn run, and sends both the same requests.
func TestExamples(t *testing.T) {
	mosn, err := mosnFolder()
	if err != nil {
		t.Fatalf("cannot find MOSN's files: %v", err)
	}
	bins, err := envoytest.Find()
	if err != nil {
		t.Fatalf("envoytest.Find: %v", err)
	}
	binary, moe := peer.of(t), command.of(t)
	module := library(t)
	envoy := bins[len(bins)-1].Path
	for _, s := range sites(t, mosn) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			up, err := upstream.Start()
			if err != nil {
				t.Fatalf("upstream.Start: %v", err)
			}
			t.Cleanup(up.Close)
			want := s.run(t, mosn, up, true, func(file string, addrs []string) (func(), error) { return startMOSN(binary, file, addrs...) })
			got := s.run(t, mosn, up, false, func(file string, addrs []string) (func(), error) {
				return startMoE(moe, file, addrs, "--envoy", envoy, "--module", module, "--concurrency", "1")
			})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("MOSN and Envoy differ (-MOSN +Envoy):\n%s", diff)
			}
		})
	}
}

// run starts what the site's files say, and returns the outcomes of its requests, put right if mend says so.
func (s site) run(
	t *testing.T, mosn string, up *upstream.Server, mend bool, start func(file string, addrs []string) (func(), error),
) map[string]outcome {
	t.Helper()
	listen, stop, err := s.start(t, mosn, up, start)
	if errors.Is(err, errExited) { // a port may have been taken meanwhile: another program does not wait for ours
		t.Logf("starting again on other ports: %v", err)
		listen, stop, err = s.start(t, mosn, up, start)
	}
	if err != nil {
		t.Fatalf("cannot start the site: %v", err)
	}
	defer stop()
	outcomes := map[string]outcome{}
	for _, r := range s.requests {
		s.ask(t, r, listen[""][0], false, up, mend, outcomes)
		if s.h2 {
			s.ask(t, r, listen[""][0], true, up, mend, outcomes)
		}
	}
	return outcomes
}

// start starts what the site's files say, on ports of its own, and returns where it listens.
func (s site) start(
	t *testing.T, mosn string, up *upstream.Server, start func(file string, addrs []string) (func(), error),
) (listen map[string][]string, stop func(), err error) {
	t.Helper()
	files, listen, err := s.move(mosn, t.TempDir(), up)
	if err != nil {
		return nil, nil, fmt.Errorf("write the configurations: %w", err)
	}
	var wg sync.WaitGroup
	errs := make([]error, len(files))
	stops := make([]func(), len(files))
	for i, file := range files {
		wg.Go(func() {
			if stops[i], errs[i] = start(file, listen[file]); errs[i] != nil {
				errs[i] = fmt.Errorf("%s: %w", filepath.Base(file), errs[i])
			}
		})
	}
	wg.Wait()
	stop = func() {
		for _, stop := range stops {
			if stop != nil {
				stop()
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		stop()
		return nil, nil, err
	}
	return listen, stop, nil
}

// ask sends a request to what the site has started.
func (s site) ask(t *testing.T, r request, addr string, h2 bool, up *upstream.Server, mend bool, outcomes map[string]outcome) {
	t.Helper()
	resp, err := r.send(addr, h2)
	if err != nil {
		t.Fatalf("%s: no answer: %v", r.key(h2), err)
	}
	o := r.withoutEcho(r.of(resp, up.Seen(resp.ID)))
	if mend && r.mend != nil {
		r.mend(&o)
	}
	outcomes[r.key(h2)] = o
}

// startMoE runs moe mosn run until it listens on addrs.
func startMoE(moe, file string, addrs []string, flags ...string) (stop func(), err error) {
	cmd := exec.Command(moe, append([]string{"mosn", "run", file}, flags...)...)
	out, err := os.Create(file + ".out")
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		end := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		<-exited
		end.Stop()
	}
	for _, addr := range addrs {
		if err := accepts(addr, exited); err != nil {
			stop()
			said, _ := os.ReadFile(out.Name())
			return nil, fmt.Errorf("moe mosn run does not come up: %w\n%s", err, said)
		}
	}
	return stop, nil
}
