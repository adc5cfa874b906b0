package verify

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// query is a request for objects, from a URL such as /apis/GROUP/VERSION/namespaces/NS/RESOURCE/NAME.
type query struct {
	resource        resource
	version         string
	namespace, name string
	fields, labels  []string
	metadata        bool // the client wants only the metadata
}

func parseQuery(r *http.Request) (query, bool) {
	var q query
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case len(parts) > 2 && parts[0] == "api":
		q.version, parts = parts[1], parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		q.resource.group, q.version, parts = parts[1], parts[2], parts[3:]
	default:
		return q, false
	}
	if len(parts) > 2 && parts[0] == "namespaces" {
		q.namespace, parts = parts[1], parts[2:]
	}
	q.resource.name = parts[0]
	if len(parts) > 1 {
		q.name = strings.Join(parts[1:], "/")
	}
	split := func(s string) []string {
		return strings.FieldsFunc(s, func(r rune) bool { return r == ',' })
	}
	q.fields, q.labels = split(r.FormValue("fieldSelector")), split(r.FormValue("labelSelector"))
	q.metadata = strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadata")
	return q, true
}

func (q query) wants(o Object) bool {
	if o.resource() != q.resource || q.namespace != "" && o.Namespace() != q.namespace {
		return false
	}
	for _, f := range q.fields {
		for path, value := range map[string]string{"metadata.name": o.Name(), "metadata.namespace": o.Namespace()} {
			if want, ok := strings.CutPrefix(f, path+"="); ok && want != value {
				return false
			}
		}
	}
	labels := o.Labels()
	for _, l := range q.labels {
		if key, value, ok := strings.Cut(l, "!="); ok {
			if labels[key] == value {
				return false
			}
		} else if key, value, ok := strings.Cut(l, "="); ok {
			if have, is := labels[key]; !is || have != strings.TrimPrefix(value, "=") {
				return false
			}
		} else if key, ok := strings.CutPrefix(l, "!"); ok {
			if _, is := labels[key]; is {
				return false
			}
		} else if _, is := labels[l]; !is {
			return false
		}
	}
	return true
}

// show returns the object in the form that the client asks for: in the version that the URL names. For Istio's and the
// Gateway API's kinds, changing the name of the version is the whole conversion.
func (q query) show(o Object) Object {
	if q.metadata {
		return Object{"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": o["metadata"]}
	}
	shown := Object{}
	for k, v := range o {
		shown[k] = v
	}
	shown["apiVersion"] = strings.TrimPrefix(q.resource.group+"/"+q.version, "/")
	return shown
}

func (c *Cluster) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/version" {
		answer(w, http.StatusOK, Object{"major": "1", "minor": "34", "gitVersion": "v1.34.0"})
		return
	}
	q, ok := parseQuery(r)
	switch {
	case !ok:
		refuse(w, http.StatusNotFound, "NotFound")
	case r.Method == http.MethodPost && q.resource == resource{"authentication.k8s.io", "tokenreviews"}:
		reviewToken(w, r)
	case r.Method == http.MethodPost && q.resource == resource{"authorization.k8s.io", "subjectaccessreviews"}:
		answer(w, http.StatusCreated, Object{
			"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "status": Object{"allowed": true},
		})
	case r.Method != http.MethodGet:
		refuse(w, http.StatusForbidden, "Forbidden")
	case r.FormValue("sendInitialEvents") == "true":
		refuse(w, http.StatusUnprocessableEntity, "Invalid") // the client then lists before it watches
	case q.name != "":
		c.get(w, q)
	case r.FormValue("watch") == "true" || r.FormValue("watch") == "1":
		c.watch(w, r, q)
	default:
		c.list(w, q)
	}
}

// reviewToken accepts every token as that of the service account that the token names, as [Proxy.token] writes it.
func reviewToken(w http.ResponseWriter, r *http.Request) {
	var review struct{ Spec struct{ Token string } }
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		refuse(w, http.StatusBadRequest, "BadRequest")
		return
	}
	answer(w, http.StatusCreated, Object{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": Object{
			"authenticated": true, "user": Object{
				"username": "system:serviceaccount:" + review.Spec.Token, "groups": []any{"system:serviceaccounts"},
			},
		},
	})
}

func answer(w http.ResponseWriter, status int, doc Object) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(doc)
}

func refuse(w http.ResponseWriter, status int, reason string) {
	answer(w, status, Object{
		"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": reason, "code": status,
		"message": "this API server is a stand-in: " + reason,
	})
}

func (c *Cluster) get(w http.ResponseWriter, q query) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.objects {
		if q.wants(o) && o.Name() == q.name {
			answer(w, http.StatusOK, q.show(o))
			return
		}
	}
	refuse(w, http.StatusNotFound, "NotFound")
}

func (c *Cluster) list(w http.ResponseWriter, q query) {
	c.mu.Lock()
	defer c.mu.Unlock()
	items := []Object{}
	for _, o := range c.objects {
		if q.wants(o) {
			items = append(items, q.show(o))
		}
	}
	slices.SortFunc(items, func(a, b Object) int { return cmp.Compare(a.key(), b.key()) })
	// The client knows the kind that it asked for, so the list needs none.
	doc := Object{"items": items, "metadata": Object{"resourceVersion": strconv.Itoa(c.revision)}}
	if q.metadata {
		doc["apiVersion"], doc["kind"] = "meta.k8s.io/v1", "PartialObjectMetadataList"
	}
	answer(w, http.StatusOK, doc)
}

// watch sends the changes since the client's revision, and then each change as it happens.
func (c *Cluster) watch(w http.ResponseWriter, r *http.Request, q query) {
	since, _ := strconv.Atoi(r.FormValue("resourceVersion"))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	out := json.NewEncoder(w)
	for {
		c.mu.Lock()
		more := c.more
		next, _ := slices.BinarySearchFunc(c.history, since+1, func(e change, want int) int { return e.revision - want })
		news := c.history[next:]
		c.mu.Unlock()
		for _, e := range news {
			since = e.revision
			if q.wants(e.object) {
				out.Encode(Object{"type": e.kind, "object": q.show(e.object)})
			}
		}
		w.(http.Flusher).Flush()
		select {
		case <-more:
		case <-r.Context().Done():
			return
		}
	}
}
