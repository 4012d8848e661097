// The vendor's Go SDK as a client that the runner steers: one JSON line per call on standard input, one per reply.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"runtime/debug"
	"strings"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/basic"
	v1 "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/mrs/v1"
	v2 "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/mrs/v2"
)

const module = "github.com/huaweicloud/huaweicloud-sdk-go-v3"

type order struct {
	API    string          `json:"api"`
	Call   string          `json:"call"`
	Fields json.RawMessage `json:"fields"`
}

func main() {
	keys := basic.NewCredentialsBuilder().WithAk(os.Getenv("CLIENT_AK")).WithSk(os.Getenv("CLIENT_SK")).
		WithProjectId(os.Getenv("CLIENT_PROJECT")).Build()
	at := os.Getenv("CLIENT_ENDPOINT")
	clients := map[string]reflect.Value{
		"v1": reflect.ValueOf(v1.NewMrsClient(v1.MrsClientBuilder().WithEndpoint(at).WithCredential(keys).Build())),
		"v2": reflect.ValueOf(v2.NewMrsClient(v2.MrsClientBuilder().WithEndpoint(at).WithCredential(keys).Build())),
	}
	say(map[string]any{"version": version(), "methods": methods(clients)})
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var wanted order
		if err := json.Unmarshal(lines.Bytes(), &wanted); err != nil {
			say(map[string]any{"error": err.Error()})
			continue
		}
		say(answer(clients[wanted.API].MethodByName(wanted.Call), wanted))
	}
}

// answer calls one method of the SDK with a request that its own model has read from JSON.
func answer(method reflect.Value, wanted order) map[string]any {
	request := reflect.New(method.Type().In(0).Elem())
	if err := json.Unmarshal(wanted.Fields, request.Interface()); err != nil {
		return map[string]any{"error": "request: " + err.Error()}
	}
	results := method.Call([]reflect.Value{request})
	if failed, _ := results[1].Interface().(error); failed != nil {
		return map[string]any{"error": failed.Error()}
	}
	status := results[0].Elem().FieldByName("HttpStatusCode").Int()
	return map[string]any{"status": status, "reply": results[0].Interface()}
}

func methods(clients map[string]reflect.Value) map[string][]string {
	found := map[string][]string{}
	for api, client := range clients {
		for i := 0; i < client.NumMethod(); i++ {
			if name := client.Type().Method(i).Name; !strings.HasSuffix(name, "Invoker") {
				found[api] = append(found[api], name)
			}
		}
	}
	return found
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, one := range info.Deps {
			if one.Path == module {
				return one.Version
			}
		}
	}
	return "unknown"
}

func say(what map[string]any) {
	line, err := json.Marshal(what)
	if err != nil {
		line, _ = json.Marshal(map[string]any{"error": "reply: " + err.Error()})
	}
	fmt.Println(string(line))
}
