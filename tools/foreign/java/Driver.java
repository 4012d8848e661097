import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.huaweicloud.sdk.core.SdkResponse;
import com.huaweicloud.sdk.core.auth.BasicCredentials;
import com.huaweicloud.sdk.core.auth.ICredential;
import com.huaweicloud.sdk.core.utils.JsonUtils;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The vendor's Java SDK as a client that the runner steers: one JSON line per call on standard input, one per reply. */
public class Driver {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final PrintStream OUT = System.out;

    public static void main(String[] arguments) throws Exception {
        System.setOut(System.err); // what the SDK logs does not mix with the replies
        ICredential keys = new BasicCredentials()
                .withAk(System.getenv("CLIENT_AK"))
                .withSk(System.getenv("CLIENT_SK"))
                .withProjectId(System.getenv("CLIENT_PROJECT"));
        String at = System.getenv("CLIENT_ENDPOINT");
        Map<String, Object> clients = new LinkedHashMap<>();
        clients.put("v1", com.huaweicloud.sdk.mrs.v1.MrsClient.newBuilder().withCredential(keys).withEndpoint(at).build());
        clients.put("v2", com.huaweicloud.sdk.mrs.v2.MrsClient.newBuilder().withCredential(keys).withEndpoint(at).build());
        say(Map.of("version", arguments[0], "methods", methods(clients)));
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            JsonNode wanted = JSON.readTree(line);
            say(answer(clients.get(wanted.get("api").asText()), wanted));
        }
    }

    /** Calls one method of the SDK with a request that its own model has read from JSON. */
    private static Map<String, Object> answer(Object client, JsonNode wanted) throws Exception {
        String name = wanted.get("call").asText();
        for (Method method : client.getClass().getMethods()) {
            if (!pascal(method.getName()).equals(name)) {
                continue;
            }
            Object request = JsonUtils.toObject(wanted.get("fields").toString(), method.getParameterTypes()[0]);
            try {
                SdkResponse reply = (SdkResponse) method.invoke(client, request);
                JsonNode body = JSON.readTree(JsonUtils.toJSON(reply));
                return Map.of("status", reply.getHttpStatusCode(), "reply", body);
            } catch (InvocationTargetException failed) {
                return Map.of("error", String.valueOf(failed.getCause()));
            }
        }
        return Map.of("error", "the client has no " + name);
    }

    private static Map<String, List<String>> methods(Map<String, Object> clients) {
        Map<String, List<String>> found = new LinkedHashMap<>();
        clients.forEach((api, client) -> {
            List<String> names = new ArrayList<>();
            for (Method method : client.getClass().getDeclaredMethods()) {
                if (SdkResponse.class.isAssignableFrom(method.getReturnType())) {
                    names.add(pascal(method.getName()));
                }
            }
            found.put(api, names);
        });
        return found;
    }

    private static String pascal(String name) {
        return Character.toUpperCase(name.charAt(0)) + name.substring(1);
    }

    private static void say(Map<String, Object> what) throws Exception {
        OUT.println(JSON.writeValueAsString(what));
        OUT.flush();
    }
}
