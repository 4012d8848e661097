import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Runs Kafka's tools one after the other: each line of the input has a class and its arguments, between tabs. */
class Tools {
    public static void main(String[] none) throws Exception {
        var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = input.readLine()) != null; ) {
            String[] words = line.split("\t");
            String[] arguments = Arrays.copyOfRange(words, 1, words.length);
            // A tool that fails says why and ends this process with its code.
            Class.forName(words[0]).getMethod("main", String[].class).invoke(null, (Object) arguments);
        }
    }
}
