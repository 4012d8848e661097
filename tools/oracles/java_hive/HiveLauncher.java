import java.io.File;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Starts a program by a class loader of the kind that Hive 3 takes Java's own for, which was one until Java 8. */
public final class HiveLauncher {
    /** Arguments: a folder of classes, a folder of jars, the program, and its arguments. */
    public static void main(String[] arguments) throws Exception {
        List<URL> urls = new ArrayList<>();
        urls.add(new File(arguments[0]).toURI().toURL());
        for (File jar : new File(arguments[1]).listFiles((folder, name) -> name.endsWith(".jar"))) {
            urls.add(jar.toURI().toURL());
        }
        URLClassLoader loader = new URLClassLoader(urls.toArray(new URL[0]), ClassLoader.getPlatformClassLoader());
        Thread.currentThread().setContextClassLoader(loader);
        loader.loadClass(arguments[2]).getMethod("main", String[].class)
            .invoke(null, (Object) Arrays.copyOfRange(arguments, 3, arguments.length));
    }
}
