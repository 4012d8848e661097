import io.prestosql.server.testing.TestingPrestoServer;
import io.prestosql.spi.Plugin;
import io.prestosql.spi.connector.ColumnHandle;
import io.prestosql.spi.connector.Connector;
import io.prestosql.spi.connector.ConnectorContext;
import io.prestosql.spi.connector.ConnectorFactory;
import io.prestosql.spi.connector.ConnectorHandleResolver;
import io.prestosql.spi.connector.ConnectorMetadata;
import io.prestosql.spi.connector.ConnectorPageSinkProvider;
import io.prestosql.spi.connector.ConnectorPageSource;
import io.prestosql.spi.connector.ConnectorPageSourceProvider;
import io.prestosql.spi.connector.ConnectorSession;
import io.prestosql.spi.connector.ConnectorSplit;
import io.prestosql.spi.connector.ConnectorSplitManager;
import io.prestosql.spi.connector.ConnectorSplitSource;
import io.prestosql.spi.connector.ConnectorTableHandle;
import io.prestosql.spi.connector.ConnectorTransactionHandle;
import io.prestosql.spi.connector.FixedPageSource;
import io.prestosql.spi.connector.FixedSplitSource;
import io.prestosql.spi.transaction.IsolationLevel;
import io.prestosql.spi.security.PrestoPrincipal;
import io.prestosql.testing.TestingHandleResolver;
import io.prestosql.testing.TestingMetadata;
import io.prestosql.testing.TestingPageSinkProvider;
import io.prestosql.testing.TestingTransactionHandle;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentSkipListSet;

/**
 * A Presto server on a free port of this machine, with a catalog `hive` whose tables have columns and no rows.
 *
 * Prints READY and its address; ends when standard input does.
 */
public final class PrestoServer {
    public static void main(String[] arguments) throws Exception {
        TestingPrestoServer server = TestingPrestoServer.builder().build();
        server.installPlugin(new Tables());
        server.createCatalog("hive", "tables", Map.of());
        System.out.println("READY " + server.getBaseUrl());
        while (System.in.read() >= 0) { }
        System.exit(0);
    }

    /** The plugin, its one connector, and what reads the tables: all of them are empty. */
    private static final class Tables implements Plugin {
        @Override
        public Iterable<ConnectorFactory> getConnectorFactories() {
            return List.of(new Factory());
        }
    }

    private static final class Factory implements ConnectorFactory {
        @Override
        public String getName() {
            return "tables";
        }

        @Override
        public ConnectorHandleResolver getHandleResolver() {
            return new TestingHandleResolver();
        }

        @Override
        public Connector create(String catalog, Map<String, String> settings, ConnectorContext context) {
            return new Catalog();
        }
    }

    private static final class Catalog implements Connector {
        private final Metadata metadata = new Metadata();

        @Override
        public ConnectorTransactionHandle beginTransaction(IsolationLevel isolation, boolean readOnly) {
            return TestingTransactionHandle.create();
        }

        @Override
        public ConnectorMetadata getMetadata(ConnectorTransactionHandle transaction) {
            return metadata;
        }

        @Override
        public ConnectorSplitManager getSplitManager() {
            return new ConnectorSplitManager() {
                @Override
                public ConnectorSplitSource getSplits(ConnectorTransactionHandle transaction, ConnectorSession session,
                        ConnectorTableHandle table, SplitSchedulingStrategy strategy) {
                    return new FixedSplitSource(List.of());
                }
            };
        }

        @Override
        public ConnectorPageSourceProvider getPageSourceProvider() {
            return new ConnectorPageSourceProvider() {
                @Override
                public ConnectorPageSource createPageSource(ConnectorTransactionHandle transaction,
                        ConnectorSession session, ConnectorSplit split, ConnectorTableHandle table,
                        List<ColumnHandle> columns) {
                    return new FixedPageSource(List.of());
                }
            };
        }

        @Override
        public ConnectorPageSinkProvider getPageSinkProvider() {
            return new TestingPageSinkProvider();
        }
    }

    private static final class Metadata extends TestingMetadata {
        private final Set<String> schemas = new ConcurrentSkipListSet<>(Set.of("default"));

        @Override
        public List<String> listSchemaNames(ConnectorSession session) {
            return new ArrayList<>(schemas);
        }

        @Override
        public void createSchema(ConnectorSession session, String name, Map<String, Object> properties, PrestoPrincipal owner) {
            schemas.add(name);
        }

        @Override
        public void dropSchema(ConnectorSession session, String name) {
            schemas.remove(name);
        }
    }
}
