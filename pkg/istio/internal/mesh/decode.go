package mesh

import (
	"encoding/json"
	"errors"
	"reflect"

	"google.golang.org/protobuf/proto"

	"mosn.io/moe/internal/protocheck"
	"mosn.io/moe/pkg/istio/internal/manifest"
)

// The parts of Kubernetes objects and of the Gateway API that matter here. Their own Go modules would bring a large part
// of Kubernetes into the requirements of every module that imports a plugin.
type (
	objectMeta struct {
		Labels map[string]string `json:"labels"`
	}
	podObject struct {
		Metadata objectMeta `json:"metadata"`
	}
	configMapObject struct {
		Data map[string]string `json:"data"`
	}
	podTemplateObject struct {
		Spec struct {
			Template podObject `json:"template"`
		} `json:"spec"`
	}
	labelledObject struct {
		Metadata objectMeta `json:"metadata"`
	}
	serviceObject struct {
		Metadata objectMeta `json:"metadata"`
		Spec     struct {
			Type      string            `json:"type"`
			ClusterIP string            `json:"clusterIP"`
			Selector  map[string]string `json:"selector"`
			Ports     []struct {
				Name        string      `json:"name"`
				Port        int32       `json:"port"`
				TargetPort  intOrString `json:"targetPort"`
				Protocol    string      `json:"protocol"`
				AppProtocol string      `json:"appProtocol"`
			} `json:"ports"`
		} `json:"spec"`
	}
	gatewayObject struct {
		Metadata objectMeta `json:"metadata"`
		Spec     struct {
			GatewayClassName string `json:"gatewayClassName"`
			Listeners        []struct {
				Name     string `json:"name"`
				Hostname string `json:"hostname"`
				Port     int32  `json:"port"`
				Protocol string `json:"protocol"`
				TLS      struct {
					Mode string `json:"mode"`
				} `json:"tls"`
				AllowedRoutes struct {
					Namespaces struct {
						From     string `json:"from"`
						Selector struct {
							MatchLabels      map[string]string `json:"matchLabels"`
							MatchExpressions []json.RawMessage `json:"matchExpressions"`
						} `json:"selector"`
					} `json:"namespaces"`
				} `json:"allowedRoutes"`
			} `json:"listeners"`
			Addresses []struct {
				Value string `json:"value"`
			} `json:"addresses"`
			Infrastructure struct {
				Labels        map[string]string `json:"labels"`
				ParametersRef json.RawMessage   `json:"parametersRef"`
			} `json:"infrastructure"`
		} `json:"spec"`
	}
	httpRouteObject struct {
		Spec struct {
			Hostnames  []string `json:"hostnames"`
			ParentRefs []struct {
				Group       string `json:"group"`
				Kind        string `json:"kind"`
				Namespace   string `json:"namespace"`
				Name        string `json:"name"`
				SectionName string `json:"sectionName"`
				Port        int32  `json:"port"`
			} `json:"parentRefs"`
			Rules []struct {
				Name    string `json:"name"`
				Matches []struct {
					Path struct {
						Type  string `json:"type"`
						Value string `json:"value"`
					} `json:"path"`
				} `json:"matches"`
			} `json:"rules"`
		} `json:"spec"`
	}
)

// intOrString is a number, or the name of a port of a pod.
type intOrString struct {
	number int32
	name   string
}

func (v *intOrString) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		return json.Unmarshal(text, &v.name)
	}
	return json.Unmarshal(text, &v.number)
}

// decode reads the parts of obj that into has.
func decode(obj *manifest.Object, into any, p *manifest.Problems) bool {
	text, err := json.Marshal(obj.Data)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong):
		p.At(obj, wrong.Field, "expected %s, got %s", kindOf(wrong.Type), wrong.Value)
	case err != nil:
		p.At(obj, "", "%v", err)
	}
	return err == nil
}

// kindOf describes the values of a type.
func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Slice:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return "a number"
}

// decodeProto reads the spec of an Istio object.
func decodeProto(obj *manifest.Object, spec proto.Message, p *manifest.Problems) bool {
	raw := obj.Data["spec"]
	data, ok := raw.(map[string]any)
	if !ok && raw != nil {
		p.At(obj, "spec", "expected an object")
		return false
	}
	c := &protocheck.Checker{IgnoreUnknown: true, Fail: func(path, format string, args ...any) {
		p.At(obj, path, format, args...)
	}}
	return c.Decode("spec", data, spec)
}
