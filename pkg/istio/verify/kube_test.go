package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func startCluster(t *testing.T) *Cluster {
	t.Helper()
	c, err := NewCluster("istio-system")
	if err != nil {
		t.Fatalf("NewCluster: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

// call sends a request to the server and decodes the response.
func (c *Cluster) call(t *testing.T, method, path, accept string) (int, Object) {
	t.Helper()
	r, err := http.NewRequest(method, "http://"+c.ln.Addr().String()+path, strings.NewReader(`{"spec": {"token": "a:b"}}`))
	if err != nil {
		t.Fatalf("http.NewRequest: %v", err)
	}
	r.Header.Set("Accept", accept)
	resp, err := client.Do(r)
	if err != nil {
		t.Fatalf("client.Do: %v", err)
	}
	defer resp.Body.Close()
	var doc Object
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
		t.Fatalf("json.NewDecoder(resp.Body).Decode: %v", err)
	}
	return resp.StatusCode, doc
}

func TestCluster(t *testing.T) {
	c := startCluster(t)
	if err := c.Apply(object(t, service), object(t, apiGateway), object(t, istioGateway)); err != nil {
		t.Fatalf("c.Apply: %v", err)
	}
	if err := c.Apply(Object{"kind": "Service", "metadata": map[string]any{}}); err == nil {
		t.Error("c.Apply of an object without a name: got nil, want an error")
	}
	for _, x := range []struct {
		path, accept string
		items        int
	}{
		{"/api/v1/services", "", 1},
		{"/api/v1/namespaces/shop/services", "", 1},
		{"/api/v1/namespaces/web/services", "", 0},
		{"/api/v1/services?fieldSelector=metadata.name%3Dapp", "", 1},
		{"/api/v1/services?fieldSelector=metadata.name%3Dother,metadata.namespace%3Dshop", "", 0},
		{"/api/v1/namespaces?labelSelector=kubernetes.io/metadata.name%3Dshop", "", 1},
		{"/api/v1/namespaces?labelSelector=kubernetes.io/metadata.name!%3Dshop", "", 3},
		{"/api/v1/namespaces?labelSelector=!kubernetes.io/metadata.name", "", 0},
		{"/api/v1/namespaces?labelSelector=nosuch", "", 0},
		{"/apis/networking.istio.io/v1beta1/gateways", "", 1},
		{"/apis/gateway.networking.k8s.io/v1/gateways", "", 1},
		{
			"/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
			"application/json;as=PartialObjectMetadataList;g=meta.k8s.io", len(definitions),
		},
	} {
		t.Run(x.path, func(t *testing.T) {
			status, doc := c.call(t, "GET", x.path, x.accept)
			if got := len(list(doc["items"])); status != 200 || got != x.items {
				t.Errorf("%s: got status %d and %d items, want 200 and %d", x.path, status, got, x.items)
			}
		})
	}
	status, doc := c.call(t, "GET", "/apis/networking.istio.io/v1beta1/namespaces/shop/gateways/gw", "")
	if status != 200 || doc["apiVersion"] != "networking.istio.io/v1beta1" || dig(doc, "metadata", "uid") == nil {
		t.Errorf("one object: got status %d and %v, want 200 and a v1beta1 object with a uid", status, doc)
	}
	for path, want := range map[string]int{
		"GET /api/v1/namespaces/shop/services/nosuch": 404, "GET /metrics": 404, "POST /api/v1/configmaps": 403,
		"GET /api/v1/services?sendInitialEvents=true": 422, "POST /apis/authentication.k8s.io/v1/tokenreviews": 201,
		"POST /apis/authorization.k8s.io/v1/subjectaccessreviews": 201,
	} {
		t.Run(path, func(t *testing.T) {
			method, path, _ := strings.Cut(path, " ")
			if status, _ := c.call(t, method, path, ""); status != want {
				t.Errorf("%s %s: got status %d, want %d", method, path, status, want)
			}
		})
	}
}

func TestWatch(t *testing.T) {
	c := startCluster(t)
	_, doc := c.call(t, "GET", "/api/v1/services", "")
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	url := "http://" + c.ln.Addr().String() + "/api/v1/services?watch=true&resourceVersion=" +
		text(dig(doc, "metadata", "resourceVersion"))
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatalf("http.NewRequestWithContext: %v", err)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatalf("http.DefaultTransport.RoundTrip: %v", err)
	}
	defer resp.Body.Close()
	events := json.NewDecoder(resp.Body)
	next := func(kind string) Object {
		t.Helper()
		var e struct {
			Type   string
			Object Object
		}
		if err := events.Decode(&e); err != nil || e.Type != kind || e.Object.String() != "Service shop/app" {
			t.Fatalf("got event %s of %q with error %v, want %s of Service shop/app", e.Type, e.Object, err, kind)
		}
		return e.Object
	}
	o := object(t, service)
	c.Apply(o, object(t, istioGateway))
	added := next("ADDED")
	c.Apply(o)
	changed := next("MODIFIED")
	c.Delete(o)
	next("DELETED")
	if c.Get(o) != nil {
		t.Error("c.Get after c.Delete: got the object, want nil")
	}
	for _, path := range [][]string{{"metadata", "uid"}, {"metadata", "creationTimestamp"}, {"spec", "clusterIP"}} {
		t.Run(fmt.Sprint(path), func(t *testing.T) {
			if a, b := dig(added, path...), dig(changed, path...); a == nil || a != b {
				t.Errorf("%s: got %v after a change, want %v as before", path, b, a)
			}
		})
	}
	if dig(o, "metadata", "uid") != nil {
		t.Error("c.Apply changed the caller's object")
	}
}
