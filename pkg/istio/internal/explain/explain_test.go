package explain

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/pkg/istio/internal/plantest"
)

var shop = plantest.Shop +
	plantest.Policy("base", "{targetRefs: [{group: networking.istio.io, kind: Gateway, name: public}],\n"+
		"  plugins: [{name: stamp, config: {value: secret}}]}") +
	plantest.Policy("route", "{targetRefs: [{kind: VirtualService, name: shop, sectionName: checkout}],\n"+
		"  plugins: [{id: stamp, disabled: true}]}")

func TestText(t *testing.T) {
	const gateway = "Gateways, all namespaces, istio=ingressgateway\n" +
		"  host: dynamic modules (default); place: beforeRouter (default); delivery: ecds (default)\n" +
		"  stamp  traffic  shop/base (in.yaml:26)\n"
	const checkout = "  route checkout of shop.example.com, port 80\n" +
		"    stamp  off  shop/route (in.yaml:32), over shop/base (in.yaml:26); shop/route: disabled; shop/base: config.value\n"
	for name, c := range map[string]struct{ match, want string }{
		"everything":   {match: "", want: gateway + checkout + "\n"},
		"a route":      {match: "checkout", want: gateway + checkout + "\n"},
		"a host":       {match: "SHOP.example.com", want: gateway + checkout + "\n"},
		"another host": {match: "other.example.com", want: ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := Text(plantest.Must(t, shop), c.match)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("Text(%q) (-want +got):\n%s", c.match, diff)
			}
			if strings.Contains(got, "secret") {
				t.Errorf("Text(%q) has the value of a configuration:\n%s", c.match, got)
			}
		})
	}
}
