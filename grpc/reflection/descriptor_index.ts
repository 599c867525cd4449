/**
 * Which file declares what: the files of some services and everything they import, by path, by the
 * fully qualified names in them, and by the extensions they declare.
 *
 * @module
 */

import {
  type DescEnum,
  type DescExtension,
  type DescFile,
  type DescMessage,
  type DescService,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";

/** An index of files; immutable once made. */
export class DescriptorIndex {
  readonly #by_path = new Map<string, DescFile>();
  readonly #by_symbol = new Map<string, DescFile>();
  /** Files by extension number by the full name of the extended message. */
  readonly #by_extension = new Map<string, Map<number, DescFile>>();
  readonly #messages = new Set<string>();
  readonly #bytes = new Map<DescFile, Uint8Array>();

  constructor(services: readonly DescService[]) {
    for (const { file } of services) this.#addFile(file);
  }

  /** The file of a path, as imports write it. */
  fileByPath(path: string): DescFile | undefined {
    return this.#by_path.get(path);
  }

  /** The file that declares a name: a service, method, message, field, enum or any of its parts. */
  fileBySymbol(name: string): DescFile | undefined {
    return this.#by_symbol.get(name);
  }

  /** The file that extends a message by a number. */
  fileByExtension(message: string, number: number): DescFile | undefined {
    return this.#by_extension.get(message)?.get(number);
  }

  /** Numbers that extend a message, in order; undefined when there is no such message. */
  extensionNumbers(message: string): number[] | undefined {
    if (!this.#messages.has(message)) return undefined;
    return [...this.#by_extension.get(message)?.keys() ?? []].sort((a, b) => a - b);
  }

  /** A file, serialized; once. */
  bytesOf(file: DescFile): Uint8Array {
    const known = this.#bytes.get(file);
    if (known !== undefined) return known;
    const bytes = toBinary(FileDescriptorProtoSchema, file.proto);
    this.#bytes.set(file, bytes);
    return bytes;
  }

  #addFile(file: DescFile): void {
    const path = file.proto.name;
    if (this.#by_path.has(path)) return;
    this.#by_path.set(path, file);
    for (const dependency of file.dependencies) this.#addFile(dependency);
    for (const service of file.services) {
      this.#by_symbol.set(service.typeName, file);
      for (const { name } of service.methods) {
        this.#by_symbol.set(`${service.typeName}.${name}`, file);
      }
    }
    for (const message of file.messages) this.#addMessage(message, file);
    for (const each of file.enums) this.#addEnum(each, file);
    for (const extension of file.extensions) this.#addExtension(extension, file);
  }

  #addMessage(message: DescMessage, file: DescFile): void {
    const { typeName } = message;
    this.#messages.add(typeName);
    this.#by_symbol.set(typeName, file);
    for (const { name } of message.fields) this.#by_symbol.set(`${typeName}.${name}`, file);
    for (const { name } of message.oneofs) this.#by_symbol.set(`${typeName}.${name}`, file);
    for (const nested of message.nestedMessages) this.#addMessage(nested, file);
    for (const nested of message.nestedEnums) this.#addEnum(nested, file);
    for (const nested of message.nestedExtensions) this.#addExtension(nested, file);
  }

  /** Values of an enum live in the scope the enum itself lives in. */
  #addEnum({ typeName, name, values }: DescEnum, file: DescFile): void {
    this.#by_symbol.set(typeName, file);
    const scope = typeName.slice(0, typeName.length - name.length);
    for (const value of values) this.#by_symbol.set(`${scope}${value.name}`, file);
  }

  #addExtension(extension: DescExtension, file: DescFile): void {
    this.#by_symbol.set(extension.typeName, file);
    const { typeName } = extension.extendee;
    const numbers = this.#by_extension.get(typeName) ?? new Map<number, DescFile>();
    numbers.set(extension.number, file);
    this.#by_extension.set(typeName, numbers);
  }
}
