import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.hadoop.hive.common.type.HiveDecimal;
import org.apache.hadoop.hive.conf.HiveConf;
import org.apache.hadoop.hive.metastore.api.FieldSchema;
import org.apache.hadoop.hive.ql.IDriver;

import org.apache.hadoop.hive.ql.processors.CommandProcessor;
import org.apache.hadoop.hive.ql.processors.CommandProcessorFactory;
import org.apache.hadoop.hive.ql.processors.CommandProcessorResponse;
import org.apache.hadoop.hive.ql.session.SessionState;
import org.apache.hadoop.hive.serde2.SerDeUtils;
import org.apache.hadoop.hive.serde2.thrift.ThriftFormatter;

/**
 * Hive in one process, with a metastore and tables in a folder.
 *
 * Reads statements from standard input, a JSON text a line, and answers each with a line of JSON: types and rows (in
 * the form in which HiveServer2 hands them over), or code, SQL state and error.
 */
public final class HiveProgram {
    private static final ObjectMapper JSON = new ObjectMapper();

    /** Argument: the folder. */
    public static void main(String[] arguments) throws Exception {
        PrintStream answers = System.out;
        System.setOut(System.err);
        SessionState.start(configuration(arguments[0]));
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            answers.write(JSON.writeValueAsBytes(answer(JSON.readValue(line, String.class))));
            answers.println();
            answers.flush();
        }
        System.exit(0);
    }

    private static HiveConf configuration(String folder) {
        HiveConf configuration = new HiveConf(HiveProgram.class);
        configuration.set("javax.jdo.option.ConnectionURL", "jdbc:derby:;databaseName=" + folder + "/metastore;create=true");
        configuration.set("datanucleus.schema.autoCreateAll", "true");
        configuration.set("hive.metastore.schema.verification", "false");
        configuration.set("hive.metastore.warehouse.dir", folder + "/warehouse");
        configuration.set("hive.exec.scratchdir", folder + "/scratch");
        configuration.set("hive.exec.local.scratchdir", folder + "/local");
        configuration.set("hive.local.time.zone", "UTC");
        configuration.set("fs.defaultFS", "file:///");
        configuration.set("mapreduce.framework.name", "local");
        configuration.set("hive.exec.submit.local.task.via.child", "false");
        configuration.set("hive.exec.submitviachild", "false");
        configuration.set(SerDeUtils.LIST_SINK_OUTPUT_FORMATTER, ThriftFormatter.class.getName());
        return configuration;
    }

    private static Map<String, Object> answer(String statement) throws Exception {
        Map<String, Object> answer = new LinkedHashMap<>();
        String[] words = statement.trim().split("\\s+");
        CommandProcessor processor = CommandProcessorFactory.get(words, SessionState.get().getConf());
        boolean isDriver = processor instanceof IDriver;
        CommandProcessorResponse response =
            processor.run(isDriver ? statement : statement.trim().substring(words[0].length()).trim());
        if (response.getResponseCode() != 0) {
            answer.put("code", response.getResponseCode());
            answer.put("state", response.getSQLState());
            answer.put("error", response.getErrorMessage());
            return answer;
        }
        if (isDriver) {
            IDriver driver = (IDriver) processor;
            List<Object> rows = new ArrayList<>();
            try {
                while (driver.getResults(rows)) { } // a hundred at a time, behind those that are there
            } catch (Exception failure) {
                answer.put("code", -1);
                answer.put("error", String.valueOf(failure.getMessage()));
                return answer;
            }
            List<String> types = new ArrayList<>();
            List<FieldSchema> fields = driver.getSchema().getFieldSchemas();
            for (FieldSchema field : fields == null ? new ArrayList<FieldSchema>() : fields) {
                types.add(field.getName() + " " + field.getType());
            }
            answer.put("types", types);
            answer.put("rows", rows.stream().map(row -> plain((Object[]) row)).collect(Collectors.toList()));
            driver.close();
        }
        return answer;
    }

    /** The cells of a row; all but whole numbers, doubles and truths as texts. */
    private static List<Object> plain(Object[] row) {
        List<Object> cells = new ArrayList<>();
        for (Object cell : row) {
            boolean known = cell == null || cell instanceof Boolean
                || cell instanceof Number && !(cell instanceof BigDecimal) && !(cell instanceof HiveDecimal);
            cells.add(known ? cell : cell instanceof byte[] ? new String((byte[]) cell, StandardCharsets.UTF_8) : cell.toString());
        }
        return cells;
    }
}
