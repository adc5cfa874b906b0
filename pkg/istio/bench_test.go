//go:build unix

package istio

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"mosn.io/moe/pkg/istio/internal/render"
)

// cpuTime is what the process has computed, whoever else keeps the machine busy.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatalf("syscall.Getrusage: %v", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// manyPolicies is policies on routes: of every five routes of a VirtualService, one has a policy.
func manyPolicies(policies int) string {
	var b strings.Builder
	b.WriteString("apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: public, namespace: istio-system}\n" +
		"spec:\n  selector: {istio: ingressgateway}\n  servers:\n" +
		"  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}\n" +
		"  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: ['*'], tls: {mode: SIMPLE, credentialName: c}}\n")
	b.WriteString("---\n" + strings.Replace(policyText("all", "selector: {matchLabels: {istio: ingressgateway}}\n"+
		"traffic: [gateway]\nplugins: [{name: accesslog}, {name: hello, config: {value: all}}]"),
		"namespace: shop", "namespace: istio-system", 1))
	for i := range policies {
		fmt.Fprintf(&b, "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: vs-%d, namespace: shop}\n"+
			"spec:\n  hosts: [host-%d.example.com]\n  gateways: [istio-system/public]\n  http:\n", i, i)
		for j := range 5 {
			fmt.Fprintf(&b, "  - name: route-%d\n    match: [{uri: {prefix: /%d}}]\n    route: [{destination: {host: web}}]\n", j, j)
		}
		b.WriteString("---\n")
		target := "targetRefs: [{kind: VirtualService, name: vs-%d, sectionName: route-2}]\n"
		if i%2 == 1 {
			target = "targetRefs: [{kind: VirtualService, name: vs-%d}]\n"
		}
		b.WriteString(policyText(fmt.Sprintf("policy-%d", i), fmt.Sprintf(target, i)+
			fmt.Sprintf("plugins:\n- {name: tokenauth, config: {secret: {env: SECRET_%d}}}\n"+
				"- {name: hello, config: {value: v%d}}", i, i)))
	}
	return b.String()
}

// BenchmarkGenerate reads and generates policies on five times as many routes of one gateway.
func BenchmarkGenerate(b *testing.B) {
	for _, n := range []int{1000, 2000, 4000} {
		text := []byte(manyPolicies(n))
		b.Run(fmt.Sprintf("%d policies", n), func(b *testing.B) {
			b.ReportAllocs()
			size, largest, resources, began := 0, 0, 0, cpuTime(b)
			for b.Loop() {
				in, err := Parse("in.yaml", text)
				if err != nil {
					b.Fatalf("Parse: %v", err)
				}
				r, err := Generate(in, Options{})
				if err != nil {
					b.Fatalf("Generate: %v", err)
				}
				out, err := r.YAML()
				if err != nil {
					b.Fatalf("r.YAML: %v", err)
				}
				size, largest, resources = len(out), 0, len(r.EnvoyFilters)
				for _, ef := range r.EnvoyFilters {
					if text, err := render.JSON(ef); err == nil {
						largest = max(largest, len(text))
					}
				}
			}
			b.ReportMetric((cpuTime(b)-began).Seconds()/float64(b.N), "cpu-s/op")
			b.ReportMetric(float64(size), "bytes-yaml")
			b.ReportMetric(float64(largest), "bytes-largest")
			b.ReportMetric(float64(resources), "resources")
		})
	}
}
