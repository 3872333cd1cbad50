import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.MethodDescriptor;
import io.grpc.stub.ClientCalls;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;

/**
 * Calls Update as a Java program does that creates a gRPC channel with default options.
 *
 * <p>Arguments: PORT REQUEST_FILE STALL_AFTER STALL_SECONDS. The file has the serialized UpdateRequest. After
 * STALL_AFTER messages the caller pauses once for STALL_SECONDS. Prints one JSON object with the numbers of records and
 * messages, their size in bytes, and the seconds from the call to its end.
 */
public final class GrpcJavaCaller {
  private static final int RECORD = 1;
  private static final int BATCH = 6;

  public static void main(String[] arguments) throws Exception {
    int port = Integer.parseInt(arguments[0]);
    byte[] request = Files.readAllBytes(Path.of(arguments[1]));
    long stallAfter = Long.parseLong(arguments[2]);
    double stallSeconds = Double.parseDouble(arguments[3]);
    ManagedChannel channel = ManagedChannelBuilder.forAddress("127.0.0.1", port).usePlaintext().build();
    long started = System.nanoTime();
    long records = 0;
    long messages = 0;
    long bytes = 0;
    Iterator<byte[]> stream = update(channel, request);
    while (stream.hasNext()) {
      byte[] message = stream.next();
      messages++;
      bytes += message.length;
      records += new Fields(message, 0, message.length).records();
      if (messages == stallAfter) {
        Thread.sleep((long) (stallSeconds * 1000));
      }
    }
    double seconds = (System.nanoTime() - started) / 1e9;
    System.out.printf(
        java.util.Locale.ROOT,
        "{\"records\": %d, \"messages\": %d, \"bytes\": %d, \"seconds\": %f}%n",
        records, messages, bytes, seconds);
    channel.shutdownNow();
  }

  private static Iterator<byte[]> update(Channel channel, byte[] request) {
    MethodDescriptor<byte[], byte[]> method =
        MethodDescriptor.<byte[], byte[]>newBuilder()
            .setType(MethodDescriptor.MethodType.SERVER_STREAMING)
            .setFullMethodName("fivetran_sdk.v2.SourceConnector/Update")
            .setRequestMarshaller(new Bytes())
            .setResponseMarshaller(new Bytes())
            .build();
    return ClientCalls.blockingServerStreamingCall(channel, method, CallOptions.DEFAULT, request);
  }

  /** Messages that are not decoded. */
  private static final class Bytes implements MethodDescriptor.Marshaller<byte[]> {
    @Override
    public InputStream stream(byte[] value) {
      return new ByteArrayInputStream(value);
    }

    @Override
    public byte[] parse(InputStream stream) {
      try {
        return stream.readAllBytes();
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
    }
  }

  /** The fields of a message; all of them are length-delimited. */
  private static final class Fields {
    private final byte[] message;
    private int at;
    private final int end;

    Fields(byte[] message, int at, int end) {
      this.message = message;
      this.at = at;
      this.end = end;
    }

    long records() {
      long count = 0;
      while (at < end) {
        int tag = varint() >>> 3;
        int length = varint();
        if (tag == RECORD) {
          count++;
        } else if (tag == BATCH) {
          count += new Fields(message, at, at + length).number();
        }
        at += length;
      }
      return count;
    }

    private long number() {
      long count = 0;
      while (at < end) {
        varint();
        int length = varint();
        at += length;
        count++;
      }
      return count;
    }

    private int varint() {
      int value = 0;
      for (int shift = 0; ; shift += 7) {
        byte next = message[at++];
        value |= (next & 0x7f) << shift;
        if (next >= 0) {
          return value;
        }
      }
    }
  }
}
